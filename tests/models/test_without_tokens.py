"""Leaving patches out equals hiding them from attention and from the pooling."""

import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous._errors import UnsupportedModelError
from vitreous.models import HookedViT, PoolingConfig, without_tokens

# What attention knows of places is its own, or it is divided.
FIXED = ("rotary", "turn per layer", "relative bias", "over time and over space")
FREE = [name for name in READOUTS if not any(each in name for each in FIXED)]


def patches_of(model: HookedViT, *places: int) -> list[int]:
    return [model.layout.n_prefix + place for place in places]


def hidden_run(model: HookedViT, images: torch.Tensor, gone: list[int]) -> torch.Tensor:
    """The last stream of a whole run in which nothing attends to some tokens."""

    def hide(scores, hook):
        scores[..., gone] = -torch.inf

    hooks = [(f"blocks.{i}.attn.hook_attn_scores", hide) for i in range(model.cfg.n_layers)]
    return model.run_with_hooks(images, fwd_hooks=hooks, stop_at_layer=model.cfg.n_layers)


@pytest.mark.parametrize("name", FREE)
def test_a_shorter_stream_is_a_run_that_hides_the_rest(name):
    model = random_model(**READOUTS[name])
    images, gone = images_of(model), patches_of(model, 1, 4)
    stream = without_tokens(model, images, gone)
    kept = [i for i in range(model.layout.n_tokens) if i not in gone]
    assert stream.shape[1] == len(kept)
    last = hidden_run(model, images, gone)[:, kept]
    made = model(stream, start_at_layer=0, stop_at_layer=model.cfg.n_layers)
    torch.testing.assert_close(made, last, rtol=1e-10, atol=1e-10)
    logits = model(stream, start_at_layer=0)
    torch.testing.assert_close(logits, model(last, start_at_layer=3), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(logits, model(images)[: len(logits)], atol=1e-3)


def test_pooling_by_attention_sees_the_rest_alone():
    model = random_model(**READOUTS["attention pooling"])
    images, gone = images_of(model), [0, 3]

    def hide(scores, hook):
        scores[..., gone] = -torch.inf

    points = [f"blocks.{i}.attn.hook_attn_scores" for i in range(3)]
    hooks = [(name, hide) for name in (*points, "pooling.map.hook_attn_scores")]
    expected = model.run_with_hooks(images, fwd_hooks=hooks)
    made = model(without_tokens(model, images, gone), start_at_layer=0)
    torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-10)


def test_a_mean_counts_the_rest_alone():
    model = random_model(norm=None, pooling=PoolingConfig("mean", None))
    images, gone = images_of(model), patches_of(model, 0, 5)
    last = hidden_run(model, images, gone)
    left = [i for i in range(1, 7) if i not in gone]
    expected = sum(last[:, i] for i in left) / len(left) @ model.W_U + model.b_U
    made = model(without_tokens(model, images, gone), start_at_layer=0)
    torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-10)


def test_each_image_can_lose_patches_of_its_own():
    model = random_model(n_registers=1)
    images = images_of(model)
    masks = torch.zeros(2, 3, 2, dtype=torch.bool)
    masks[0, 1, 0] = masks[0, 2, 1] = masks[1, 0, 0] = masks[1, 0, 1] = True
    made = without_tokens(model, images, masks)
    for i, gone in enumerate(([2, 5], [0, 1])):
        alone = without_tokens(model, images[i : i + 1], patches_of(model, *gone))
        torch.testing.assert_close(made[i : i + 1], alone, rtol=0, atol=1e-12)


def test_a_mask_of_the_grid_and_a_place_name_patches_too():
    model = random_model()
    images, mask = images_of(model), torch.zeros(3, 2, dtype=torch.bool)
    mask[1, 1] = True
    expected = without_tokens(model, images, [4])
    assert torch.equal(without_tokens(model, images, mask), expected)
    assert torch.equal(without_tokens(model, images, (1, 1)), expected)


def test_gradients_reach_the_pixels_that_are_left_and_no_others():
    model = random_model()
    images = images_of(model).requires_grad_()
    model(without_tokens(model, images, (0, 0)), start_at_layer=0).sum().backward()
    assert images.grad is not None
    assert not images.grad[:, :, :4, :4].any() and images.grad[:, :, :4, 4:].all()


@pytest.mark.parametrize("name", [name for name in READOUTS if name not in FREE])
def test_models_whose_blocks_know_places_are_refused(name):
    model = random_model(**READOUTS[name])
    with pytest.raises(
        UnsupportedModelError, match=r"in which a token's place doesn't matter; got"
    ):
        without_tokens(model, images_of(model), "patches")
