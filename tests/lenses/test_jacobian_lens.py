"""The Jacobian lens is the mean of autograd's Jacobians."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous import WeightsError
from vitreous.data import Images
from vitreous.lenses import JacobianLens
from vitreous.lenses._groups import groups_of, tokens_of
from vitreous.models import HookedViT

EVERY_POOLING = {name: each for name, each in READOUTS.items() if "pooling" in each}
SOME = {"class token": {}, "distillation": READOUTS["distillation"], **EVERY_POOLING}
SOME["registers"] = READOUTS["registers, ln_pre, LayerScale"]
SOME["clips"] = READOUTS["clips, attention over time and over space"]


def by_autograd(
    model: HookedViT, images: torch.Tensor, layer: int, to: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """One image at a time: d end / d stream `[images, d_model, tokens, d_model]`, and streams."""
    read = model.layout.select(to)
    whole, streams = [], []
    for image in images:
        resid = model(image[None], stop_at_layer=layer + 1).detach()

        def end(stream: torch.Tensor) -> torch.Tensor:
            n_layers = model.cfg.n_layers
            last = model(stream, start_at_layer=layer + 1, stop_at_layer=n_layers)
            return last[0, read].mean(0)

        whole.append(torch.autograd.functional.jacobian(end, resid)[:, 0])
        streams.append(resid[0])
    return torch.stack(whole), torch.stack(streams)


@pytest.mark.parametrize("readout", SOME)
@pytest.mark.parametrize("groups", ["separate", "together"])
def test_every_matrix_is_the_mean_of_autograds(readout, groups):
    model = random_model(**SOME[readout])
    images = images_of(model, 3)
    lens = JacobianLens.fit(model, images, groups=groups, batch_size=2)
    tokens = tokens_of(model.layout, groups_of(model.layout, groups))
    assert list(lens.jacobians) == list(tokens)
    for layer in (-1, 1):
        whole, streams = by_autograd(model, images, layer, "readout")
        for group, chosen in tokens.items():
            expected = whole[:, :, chosen].sum(2).mean(0)
            found = lens.jacobians[group][layer + 1]
            assert (found - expected).abs().max() <= 1e-10 * max(1, expected.abs().max())
            mean = streams[:, chosen].mean((0, 1))
            torch.testing.assert_close(lens.stream_means[group][layer + 1], mean)


def test_another_end_can_be_aimed_at():
    model, images = random_model(), random_images(2)
    lens = JacobianLens.fit(model, images, to="patches")
    whole, _ = by_autograd(model, images, 0, "patches")
    expected = whole[:, :, 1:].sum(2).mean(0)
    torch.testing.assert_close(lens.jacobians["patches"][1], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("centered", [False, True])
def test_a_token_is_read_by_its_mean_effect(centered):
    model, images = random_model(n_registers=1), random_images(3)
    lens = JacobianLens.fit(model, images, centered=centered)
    resid = model(images, stop_at_layer=1).detach()
    translated = lens.translate(resid, 0, model.layout)
    for token, group in ((0, "cls"), (1, "registers"), (5, "patches")):
        moved = resid[2, token] - (lens.stream_means[group][1] if centered else 0)
        expected = lens.jacobians[group][1] @ moved + (lens.final_mean if centered else 0)
        torch.testing.assert_close(translated[2, token], expected, rtol=0, atol=1e-12)


def test_a_model_that_is_linear_is_read_without_error():
    model = random_model(norm=None, d_mlp=None)
    with torch.no_grad():
        for block in model.blocks:  # attention that mixes tokens evenly, whatever they say
            block.attn.qkv.weight[: 2 * 16].zero_()
    lens, images = JacobianLens.fit(model, random_images(2, seed=8)), random_images(3)
    resid, last = (model(images, stop_at_layer=n).detach() for n in (1, 3))
    # Each token says what would be if all of its group were like it, so their mean says what is.
    ways = lens.translate(resid, 0, model.layout)
    mean = ways[:, 0] + ways[:, 1:].mean(1) - lens.final_mean
    torch.testing.assert_close(mean, last[:, 0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("readout", ["class token", "attention pooling", "mean behind the norm"])
def test_it_ends_in_the_output_of_the_model(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    read = JacobianLens.fit(model, images)(model, images)
    np.testing.assert_allclose(
        read["readout"].sel(layer=2), model(images).detach(), rtol=0, atol=1e-10
    )
    assert read.attrs["lens"] == "jacobian"


def test_the_size_of_a_batch_changes_nothing():
    model, images = random_model(), Images.from_tensor(random_images(5))
    one, other = (JacobianLens.fit(model, images, batch_size=size) for size in (1, 4))
    torch.testing.assert_close(one.jacobians, other.jacobians, rtol=0, atol=1e-12)


def test_the_weights_keep_no_gradient_and_may_have_one_again():
    model = random_model()
    JacobianLens.fit(model, random_images())
    assert all(each.grad is None and each.requires_grad for each in model.parameters())


def test_a_saved_lens_is_the_same_and_belongs_to_its_model(tmp_path):
    model, images = random_model(), random_images()
    lens = JacobianLens.fit(model, images, centered=False)
    lens.save(tmp_path / "a.safetensors")
    again = JacobianLens.load(tmp_path / "a.safetensors")
    assert again.about == lens.about and not again.centered
    np.testing.assert_array_equal(again(model, images)["logit"], lens(model, images)["logit"])
    with pytest.raises(WeightsError, match="A lens must be read with the model that it was fitted"):
        again(random_model(seed=1), images)
