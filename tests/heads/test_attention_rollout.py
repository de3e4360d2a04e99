"""Attention rollout, against a slow writing of it."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.data import Images
from vitreous.heads import attention_rollout, fuse, roll_out


def slow_rollout(layers, heads, residual, discard):
    """Of one image: lists of heads of rows, in forward order; token by token."""
    combine = {"mean": lambda x: sum(x) / len(x), "max": max, "min": min}[heads]
    n = len(layers[0][0])
    rolled = [[float(i == j) for j in range(n)] for i in range(n)]
    for layer in layers:
        mixed = []
        for query in range(n):
            row = [combine([head[query][key] for head in layer]) for key in range(n)]
            for key in sorted(range(n), key=lambda key: row[key])[: int(discard * n)]:
                row[key] = 0.0
            total = sum(row)
            row = [value / total if total else 0.0 for value in row]
            row = [
                residual * (query == key) + (1 - residual) * value for key, value in enumerate(row)
            ]
            total = sum(row)
            mixed.append(
                [value / total for value in row] if total else [float(query == j) for j in range(n)]
            )
        rolled = [
            [sum(mixed[i][k] * rolled[k][j] for k in range(n)) for j in range(n)] for i in range(n)
        ]
    return rolled


@pytest.mark.parametrize("kind", READOUTS)
def test_rollout_is_the_slow_one_for_every_model(kind):
    must_be_the_slow_one(kind, "mean", 0.5, 0.0)


@pytest.mark.parametrize(
    ("heads", "residual", "discard"), [("max", 0.3, 0.4), ("min", 0.5, 0.2), ("mean", 0.0, 0.7)]
)
def test_rollout_is_the_slow_one_with_every_option(heads, residual, discard):
    must_be_the_slow_one("registers, ln_pre, LayerScale", heads, residual, discard)
    must_be_the_slow_one("clips, attention over time and over space", heads, residual, discard)


def must_be_the_slow_one(kind, heads, residual, discard):
    model = random_model(**READOUTS[kind])
    pixels = images_of(model)
    found = attention_rollout(model, pixels, heads=heads, residual=residual, discard=discard)
    with torch.no_grad():
        _, cache = model.run_with_cache(pixels)
    names = [n for n in model.hook_names() if n.endswith("hook_pattern") and "blocks" in n]
    for image in range(2):
        layers = [cache[name][image].tolist() for name in names]
        expected = slow_rollout(layers, heads, residual, discard)
        np.testing.assert_allclose(found.values[image], expected, rtol=0, atol=1e-12)


def test_rows_sum_to_one():
    model = random_model()
    for heads in ("mean", "max", "min"):
        found = attention_rollout(model, images_of(model), heads=heads, discard=0.3)
        np.testing.assert_allclose(found.sum("key"), 1, rtol=0, atol=1e-12)


def test_identity_attention_rolls_out_to_the_identity():
    identity = torch.eye(5).expand(2, 5, 5)
    assert torch.equal(roll_out(iter([identity] * 4), 0.5), identity)


def test_the_last_layer_stands_on_the_left():
    torch.manual_seed(0)
    first, last = (4 * torch.rand(2, 1, 4, 4, dtype=torch.float64)).softmax(-1)
    rolled = roll_out(iter([first, last]), 0.0)
    assert torch.allclose(rolled, last @ first, rtol=0, atol=1e-15)
    assert not torch.allclose(rolled, first @ last, rtol=0, atol=1e-3)


def test_discarded_keys_get_nothing_in_every_image():
    pattern = torch.rand(3, 2, 4, 10, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert ((fuse(pattern, "mean", 0.5) == 0).sum(-1) == 5).all()
    assert torch.allclose(fuse(pattern, "max", 0.5).sum(-1), torch.ones(3, 4))


def test_a_run_and_streamed_images_give_the_same():
    model = random_model()
    pixels = images_of(model, 5)
    whole = attention_rollout(model, pixels)
    streamed = attention_rollout(model, Images.from_tensor(pixels, batch_size=2))
    with torch.no_grad():
        read = attention_rollout(model, pixels, cache=model.run_with_cache(pixels)[1])
    np.testing.assert_allclose(whole, streamed, rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole, read, rtol=0, atol=1e-12)
    assert list(whole["key"].values) == model.layout.names()


def test_layers_in_front_of_the_first_that_counts_are_left_out():
    model = random_model()
    pixels = images_of(model)
    with torch.no_grad():
        pattern = model.run_with_cache(pixels)[1]["pattern", 2]
    found = attention_rollout(model, pixels, start_layer=2, residual=0.0)
    np.testing.assert_allclose(found, pattern.mean(1), rtol=0, atol=1e-12)
