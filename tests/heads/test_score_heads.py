"""Scores of heads, against definitions written out slowly."""

import math
import statistics

import numpy as np
import pytest
import torch
import xarray

from tests.heads import definition as slow
from tests.tiny import READOUTS, images_of, random_model
from vitreous.data import Images
from vitreous.heads import HEAD_SCORES, motif_identities, score_heads
from vitreous.models import AttentionConfig, PoolingConfig, PositionConfig
from vitreous.terrarium import Task

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


@pytest.mark.parametrize("kind", READOUTS)
def test_all_models_are_scored(kind):
    model = random_model(**READOUTS[kind])
    found = score_heads(model, images_of(model))
    assert dict(found.sizes) == {"score": len(HEAD_SCORES), "layer": 3, "head": 4}
    defined = found["mean"].sel(score=["self", "uniform", "distance", "content"])
    assert defined.notnull().all()
    # A patch that only its own frame sees is no sink of the whole clip.
    is_seen_by_all = not model.cfg.divides_space_time
    assert found["mean"].sel(score="sink").notnull().all() == is_seen_by_all


@pytest.mark.parametrize("of", ["pattern", "scores"])
def test_uniform_attention_scores_its_chance(of):
    model = random_model(n_registers=1, image_size=(16, 20))
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_Q.zero_()
            block.attn.b_Q.zero_()
    pixels = images_of(model, 3)
    identities = torch.randint(0, 4, (3, 20), generator=torch.Generator().manual_seed(0))
    found = score_heads(model, pixels, of=of, masks=masks_of(pixels), identities=identities)
    gap = abs(found["mean"] - found["chance"])
    if of == "scores":  # equal scores have nothing to compare
        gap = gap.drop_sel(score=["uniform", "distance", "content"])
    assert gap.max() < 1e-10
    assert gap.notnull().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_half_precision_gives_nearly_the_same(dtype):
    model, pixels = random_model(), images_of(random_model(), 4)
    exact = score_heads(model, pixels)["mean"]
    rounded = score_heads(model.to(dtype), pixels)["mean"]
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=5e-2)


def test_copies_are_found_by_their_pixels():
    model = random_model(image_size=(12, 16))
    shown = torch.tensor([[0, 1, -1, 0, 2, 1, 0, -1, -1, 3, 1, 2]] * 2)
    generator = torch.Generator().manual_seed(0)
    tiles = torch.randn(4, 3, 4, 4, generator=generator, dtype=torch.float64)
    tiles = torch.cat([tiles, torch.full_like(tiles[:1], 0.5)])  # one color: it shows nothing
    pixels = tiles[shown].unflatten(1, (3, 4)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
    noise = 0.01 * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)
    given = score_heads(model, pixels, identities=shown)
    xarray.testing.assert_identical(score_heads(model, pixels), given)
    noisy = {"scores": ["duplicate", "induction"], "tolerance": 0.03}
    found, expected = (
        score_heads(model, pixels + noise, identities=each, **noisy) for each in (None, shown)
    )
    xarray.testing.assert_identical(found, expected)
    exactly = score_heads(model, pixels + noise, scores=["duplicate"])
    assert exactly["mean"].isnull().all() and (exactly["images"] == 0).all()


def test_pixels_of_a_clip_are_compared_over_its_tubelets():
    model = random_model(n_frames=4, tubelet=2, image_size=8)
    clip = images_of(model, 1)
    clip[:, 2:] = clip[:, :2]  # the second frame of patches is a copy of the first
    shown = torch.arange(4).repeat(2)[None]
    found = score_heads(model, clip)
    xarray.testing.assert_identical(found, score_heads(model, clip, identities=shown))
    assert found["mean"].sel(score="duplicate").notnull().all()


def test_a_single_image_has_no_spread_and_no_content():
    found = score_heads(random_model(), images_of(random_model(), 1))
    assert found["spread"].isnull().all()
    assert found["mean"].sel(score="content").isnull().all()


def test_masks_may_be_true_for_objects():
    model = random_model()
    pixels = images_of(model, 3)
    is_object = torch.rand(3, 12, 8, generator=torch.Generator().manual_seed(0)) > 0.5
    found = score_heads(model, pixels, masks=is_object)
    labels = torch.where(is_object, 2, -1)
    xarray.testing.assert_identical(found, score_heads(model, pixels, masks=labels))
    assert found["mean"].sel(score="text").isnull().all()


def test_scores_that_are_asked_for_are_the_only_ones_and_can_be_saved(tmp_path):
    model = random_model()
    found = score_heads(model, images_of(model), scores=["corner", "offset"])
    assert found["score"].values.tolist() == ["corner", "offset"]
    assert found["best"].sel(score="corner").values.tolist() == [[""] * 4] * 3
    assert xarray.Dataset.from_dict(found.to_dict()).identical(found)


def test_motifs_of_repeats_are_told_apart_by_cell():
    task, layout = Task("repeats", "validation"), random_model(image_size=32).layout
    shown = motif_identities(task, 2, layout)
    things = task.scene(0).objects
    by_cell = [(thing.kind, thing.palette) for thing in things]
    for one in range(len(things)):
        for other in range(len(things)):
            assert (shown[0, one] == shown[0, other]) == (by_cell[one] == by_cell[other])
    assert (shown[0, len(things) :] == -1).all()
