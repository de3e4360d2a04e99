"""Losses, against the slow writing of their definitions."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import images_of, random_model
from vitreous.data import Batch
from vitreous.models import HookedViT
from vitreous.training import cross_entropy, cross_entropy_with_patches

SHAPES = {"square": {}, "registers": {"n_registers": 2}, "attention only": {"d_mlp": None}}


def asking(model: HookedViT, count: int = 3) -> Batch:
    """Random questions: about half of the patches of each picture, but none in the first."""
    generator = torch.Generator().manual_seed(5)
    n_labels, (rows, columns) = model.n_outputs, model.cfg.grid
    asked = torch.randint(n_labels, (count, rows, columns), generator=generator)
    asked[torch.rand(asked.shape, generator=generator) < 0.5] = -1
    asked[0] = -1
    height, width = model.cfg.patch_size
    labels = torch.randint(n_labels, (count,), generator=generator)
    masks = asked.repeat_interleave(height, 1).repeat_interleave(width, 2)
    return Batch(torch.arange(count), images_of(model, count), labels, masks)


def read_alone(model: HookedViT, stream: Tensor) -> Tensor:
    """Log-probabilities of a token at the end of the last block."""
    return model.head([model.ln_final(stream[None])])[0].log_softmax(-1)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_with_patches_it_is_the_sum_over_all_questions_of_a_picture(shape):
    model = random_model(**shape)
    batch, patch = asking(model), model.cfg.patch_size[0]
    _, cache = model.run_with_cache(batch.pixels)
    bad = []
    for image, label in enumerate(batch.labels.tolist()):
        stream = cache["resid_post", -1][image]
        bad.append(-read_alone(model, stream[0])[label])
        for row in range(model.cfg.grid[0]):
            for column in range(model.cfg.grid[1]):
                asked = batch.masks[image, row * patch, column * patch].item()
                if asked >= 0:
                    token = stream[model.layout.index(row=row, column=column)]
                    bad.append(-read_alone(model, token)[asked])
    assert len(bad) > 6
    found = cross_entropy_with_patches(model, batch)
    torch.testing.assert_close(found, sum(bad) / 3, rtol=1e-12, atol=0)


def test_where_no_patch_is_asked_it_is_the_cross_entropy_of_the_labels():
    model = random_model()
    batch = asking(model)
    silent = replace(batch, masks=torch.full_like(batch.masks, -1))
    found, expected = cross_entropy_with_patches(model, silent), cross_entropy(model, silent)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_two_halves_of_a_batch_have_its_loss_on_average():
    model = random_model()
    whole = asking(model, 4)
    halves = [
        Batch(*(part[rows] for part in (whole.index, whole.pixels, whole.labels, whole.masks)))
        for rows in (slice(2), slice(2, None))
    ]
    found = sum(cross_entropy_with_patches(model, half) for half in halves) / 2
    torch.testing.assert_close(found, cross_entropy_with_patches(model, whole))


class Wrapped(nn.Module):
    """As a model is where several processes share a batch: only a pass through it is shared."""

    def __init__(self, module: HookedViT) -> None:
        super().__init__()
        self.module, self.passes = module, 0

    def forward(self, *inputs, **keywords):
        self.passes += 1
        return self.module(*inputs, **keywords)


def test_a_wrapped_model_is_called_itself():
    model = random_model()
    batch, wrapped = asking(model), Wrapped(model)
    assert cross_entropy_with_patches(wrapped, batch) == cross_entropy_with_patches(model, batch)
    assert wrapped.passes == 1
