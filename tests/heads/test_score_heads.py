"""Scores of heads, against definitions written out slowly."""

import math
import statistics

import numpy as np
import pytest
import torch

from tests.heads import definition as slow
from tests.tiny import images_of, random_model
from vitreous.data import Images
from vitreous.heads import HEAD_SCORES, score_heads
from vitreous.models import AttentionConfig, PoolingConfig, PositionConfig

SMALL = {"n_layers": 2, "n_heads": 2, "d_model": 8, "d_mlp": 6}
MODELS = {
    "class token": {"image_size": (12, 16)},
    "no class token": {
        "cls_token": False, "pooling": PoolingConfig("mean"), "image_size": (16, 12)
    },
    "registers, distillation": {
        "distillation_token": True, "n_registers": 2, "image_size": (12, 12)
    },
    "attention only, mean": {
        "d_mlp": None, "pooling": PoolingConfig("mean"), "image_size": (20, 24)
    },
    "causal": {"attention": AttentionConfig(causal=True), "image_size": (12, 12)},
    "relative bias": {
        "attention": AttentionConfig(relative_bias=True), "position": None, "image_size": (12, 12)
    },
    "one row": {"image_size": (4, 28)},
    "one column": {"image_size": (24, 4)},
    "one patch": {"image_size": (4, 4)},
    "one patch and nothing else": {
        "image_size": (4, 4), "cls_token": False, "pooling": PoolingConfig("mean")
    },
    "2 x 2": {"image_size": (8, 8)},
    "clips": {"n_frames": 4, "tubelet": 2, "image_size": (12, 12)},
    "clips, over time and space": {
        "n_frames": 2,
        "image_size": (12, 12),
        "attention": AttentionConfig(space_time="divided"),
        "position": PositionConfig(frames="added"),
    },
}  # fmt: skip
COUNT = 3


def masks_of(pixels):
    """Two objects, background and words, in no order."""
    generator = torch.Generator().manual_seed(3)
    *most, rows, columns = pixels.shape
    shape = (most[0], rows, columns) if len(most) == 2 else (most[0], most[1], rows, columns)
    kinds = torch.tensor([-1, -1, 0, 4, -3, -2])
    return kinds[torch.randint(0, 6, shape, generator=generator)]


def identities_of(model):
    generator = torch.Generator().manual_seed(4)
    return torch.randint(-1, 3, (COUNT, model.layout.n_patches), generator=generator)


def cases(model, pixels, of, selected, masks, identities):
    """`[layer][head][image]`, from a cached run."""
    with torch.no_grad():
        _, cache = model.run_with_cache(pixels)
    layout = model.layout
    objects = layout.coverage((masks != -1) & (masks != -3)).flatten(1).double()
    words = layout.coverage(masks == -3).flatten(1).double()

    def case(layer, head, image):
        scores = cache["attn_scores", layer][image, head]
        values = cache["pattern", layer][image, head] if of == "pattern" else scores
        rows = [
            [None if hidden == -math.inf else value for value, hidden in zip(*both, strict=True)]
            for both in zip(values.tolist(), scores.tolist(), strict=True)
        ]
        return slow.Case(
            rows, layout.cls, layout.distillation, layout.registers, layout.grid, selected,
            identities[image].tolist(), objects[image].tolist(), words[image].tolist(), of,
        )  # fmt: skip

    return [
        [[case(layer, head, image) for image in range(len(pixels))] for head in range(2)]
        for layer in range(2)
    ]


def expected(name, images):
    """Mean, spread and count over images of the best candidate, and which it is."""
    if name == "content":
        return slow.content(images), math.nan, len(images), None
    by_image = [slow.definition(name, case) for case in images]
    found = []
    for values in zip(*by_image, strict=True):
        there = [value for value in values if not math.isnan(value)]
        mean = statistics.fmean(there) if there else math.nan
        spread = statistics.stdev(there) if len(there) > 1 else math.nan
        found.append((mean, spread, len(there)))
    if not found:
        return math.nan, math.nan, 0, None
    best = max(range(len(found)), key=lambda i: (not math.isnan(found[i][0]), found[i][0]))
    return *found[best], best


@pytest.mark.parametrize("of", ["pattern", "scores"])
@pytest.mark.parametrize(
    ("kind", "positions"),
    [*((kind, "all") for kind in MODELS), ("class token", [0, 4, 9]), ("causal", "patches")],
)
def test_every_score_is_its_definition(kind, positions, of):
    model = random_model(**(SMALL | MODELS[kind]))
    with torch.no_grad():
        for block in model.blocks:  # patterns far from uniform
            block.attn.W_Q.mul_(6)
    pixels = images_of(model, COUNT)
    masks, identities = masks_of(pixels), identities_of(model)
    found = score_heads(
        model, pixels, of=of, positions=positions, masks=masks, identities=identities, batch_size=2
    )
    selected = model.layout.select(positions)
    by_head = cases(model, pixels, of, selected, masks, identities)
    for name in HEAD_SCORES:
        for layer in range(2):
            for head in range(2):
                mean, spread, count, _ = expected(name, by_head[layer][head])
                here = found.sel(score=name, layer=layer, head=head)
                got = [float(here["mean"]), float(here["spread"]), int(here["images"])]
                wanted = [mean, spread, count if not math.isnan(mean) else 0]
                np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-10, err_msg=name)


def test_streamed_images_give_what_a_tensor_gives():
    model = random_model()
    pixels = images_of(model, 5)
    masks = masks_of(pixels)
    whole = score_heads(model, pixels, masks=masks)
    streamed = score_heads(model, Images.from_tensor(pixels, masks=masks, batch_size=2))
    for name in ("mean", "spread", "images"):
        np.testing.assert_allclose(whole[name], streamed[name], rtol=0, atol=1e-12)
    assert (whole["best"] == streamed["best"]).all()
