"""Tokens know where they are."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import build, configs, images_for, law
from vitreous._errors import UnknownNameError
from vitreous.models import HookedViTConfig, TokenLayout

FULL = TokenLayout(1, 1, 2, (1, 2, 3), (4, 5))  # cls dist reg0 reg1, then a 2 x 3 grid
CLIP = TokenLayout(1, 0, 0, (2, 2, 3), (4, 4), "patches")
BOTH = TokenLayout(1, 1, 1, (1, 1, 2), (4, 4), "cls_patches")
BARE = TokenLayout(0, 0, 0, (1, 2, 3), (4, 4), "patches")


def mask(*true, shape):
    found = torch.zeros(shape, dtype=torch.bool)
    for place in true:
        found[place] = True
    return found


@pytest.mark.parametrize(
    ("layout", "positions", "tokens"),
    [
        (FULL, "all", list(range(10))),
        (FULL, "cls", [0]),
        (FULL, "distillation", [1]),
        (FULL, "registers", [2, 3]),
        (FULL, "patches", [4, 5, 6, 7, 8, 9]),
        (FULL, "readout", [0, 1]),
        (CLIP, "readout", list(range(1, 13))),
        (BARE, "readout", [0, 1, 2, 3, 4, 5]),
        (BOTH, "readout", [0, 3, 4]),
        (FULL, 3, [3]),
        (FULL, -1, [9]),
        (FULL, [0, -1, 0], [0, 9, 0]),
        (FULL, range(2), [0, 1]),
        (FULL, (1, 2), [9]),
        (FULL, (-1, 0), [7]),
        (FULL, (0, 0, 1), [5]),
        (CLIP, (1, 0, 2), [9]),
        (FULL, mask(0, 5, shape=(10,)), [0, 5]),
        (FULL, mask((1, 1), (0, 2), shape=(2, 3)), [6, 8]),
        (FULL, mask((0, 1, 1), shape=(1, 2, 3)), [8]),
        (CLIP, mask((1, 0, 0), shape=(2, 2, 3)), [7]),
        (FULL, np.array([1, 2]), [1, 2]),
        (FULL, np.array([True] + [False] * 9), [0]),
        (FULL, torch.tensor([4, 1]), [4, 1]),
        (FULL, torch.tensor(4), [4]),
        (FULL, np.int64(4), [4]),
    ],
)
def test_positions_mean_these_tokens(layout, positions, tokens):
    assert layout.select(positions) == tokens


@pytest.mark.parametrize(
    ("layout", "positions", "error", "says"),
    [
        (BARE, "cls", ValueError, r"got 'cls', which selects none of 6\. .* 2 x 3"),
        (BARE, "registers", ValueError, "must select a token"),
        (FULL, [], ValueError, r"must select a token; got \[\]"),
        (FULL, mask(shape=(2, 3)), ValueError, "must select a token"),
        (FULL, "class", UnknownNameError, "No group of tokens is named 'class'"),
        (FULL, 10, ValueError, r"in 0\.\.9; got 10\. This model has 1 class token, 1 distillation"),
        (FULL, [0, -11], ValueError, "got -11"),
        (FULL, (2, 0), ValueError, r"`row` must lie in 0\.\.1; got 2"),
        (FULL, (0, -4), ValueError, r"`column` must lie in 0\.\.2; got -4"),
        (FULL, (1,), ValueError, r"A tuple of `positions` must be \(row, column\); got \(1,\)"),
        (FULL, (0, 1, 1, 1), ValueError, "Pass a list for several token indices"),
        (CLIP, (0, 1), ValueError, r"must be \(frame, row, column\)"),
        (FULL, mask(0, shape=(6,)), ValueError, r"10 tokens or the 2 x 3 grid; got .* \[6\]"),
        (FULL, mask((0, 0), shape=(3, 2)), ValueError, "must cover 10 tokens"),
        (FULL, True, TypeError, "`positions` must be a name"),
        (FULL, [0, True], TypeError, "got True"),
        (FULL, 1.0, TypeError, r"`positions` must be a name .* got 1\.0"),
        (FULL, [0.5], TypeError, r"got 0\.5"),
        (FULL, None, TypeError, "got None"),
        (FULL, {1}, TypeError, r"got \{1\}"),
        (FULL, ["cls"], TypeError, "got 'cls'"),
        (FULL, [(0, 1)], TypeError, r"got \(0, 1\)"),
        (FULL, torch.tensor([[0, 1]]), TypeError, r"got \[0, 1\]"),
    ],
)  # fmt: skip
def test_what_is_no_position_raises(layout, positions, error, says):
    with pytest.raises(error, match=says):
        layout.select(positions)


def test_every_token_has_a_name_of_its_own():
    patches = ["r0c0", "r0c1", "r0c2", "r1c0", "r1c1", "r1c2"]
    assert FULL.names() == ["cls", "dist", "reg0", "reg1", *patches]
    assert BARE.names() == patches
    assert CLIP.names()[1] == "f0r0c0" and CLIP.names()[-1] == "f1r1c2"


@pytest.mark.parametrize("layout", [FULL, CLIP, BARE])
def test_the_name_of_a_patch_says_its_row_and_column(layout):
    names, (frames, rows, columns) = layout.names(), layout.grid
    for f in range(frames):
        for r in range(rows):
            for c in range(columns):
                name = names[layout.index(row=r, column=c, frame=f)]
                assert name == (f"f{f}" if frames > 1 else "") + f"r{r}c{c}"


@pytest.mark.parametrize("layout", [FULL, CLIP, BARE])
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_a_grid_is_the_patches_and_flattens_to_them_again(layout, dim):
    shape = [2, 3, 4]
    shape[dim] = layout.n_tokens
    x = torch.randn(shape)
    grid = layout.to_grid(x, dim)
    patches = x.index_select(dim % 3, torch.tensor(layout.select("patches")))
    n_grid = 3 if layout is CLIP else 2
    assert torch.equal(layout.from_grid(grid, dim if dim < 0 else dim + n_grid - 1), patches)
    assert torch.equal(layout.to_grid(patches, dim), grid)
    place = (*[slice(None)] * (dim % 3), *((1,) if layout is CLIP else ()), 1, 2)
    assert torch.equal(grid[place], x.select(dim, layout.n_tokens - 1))


def test_grids_of_another_size_raise():
    with pytest.raises(ValueError, match="needs 10 tokens or 6 patches in dimension 1; got 7"):
        FULL.to_grid(torch.zeros(2, 7))
    with pytest.raises(ValueError, match=r"needs 2 x 3 in the dimensions that end at 2; got shape"):
        FULL.from_grid(torch.zeros(2, 3, 2))
    with pytest.raises(ValueError, match="needs 2 x 3 in the dimensions that end at 0"):
        FULL.from_grid(torch.zeros(6))


@law(st.integers(0, 2**16))
def test_coverage_is_the_share_of_covered_pixels(seed):
    pixels = torch.rand(2, 8, 15, generator=torch.Generator().manual_seed(seed)) > 0.6
    naive = torch.zeros(2, 2, 3)
    for image, y, x in pixels.nonzero().tolist():
        naive[image, y // 4, x // 5] += 1 / 20
    assert torch.allclose(FULL.coverage(pixels), naive)
    assert torch.allclose(FULL.coverage(pixels[0]), naive[0])


def test_a_mask_of_other_pixels_raises():
    with pytest.raises(ValueError, match="`mask` must be 8 x 15 pixels; got 8 x 16"):
        FULL.coverage(torch.zeros(8, 16))


def test_covered_patches_are_positions():
    pixels = torch.zeros(8, 15)
    pixels[5, 6] = 1
    assert FULL.select(FULL.coverage(pixels) > 0) == [FULL.index(1, 1)]


@law(configs())
def test_the_layout_of_a_model_counts_its_tokens(cfg):
    model = build(cfg)
    _, cache = model.run_with_cache(images_for(cfg))
    layout = cache.layout
    assert layout == model.layout
    assert layout.n_tokens == len(layout.names()) == cache["hook_embed"].shape[1]
    assert layout.n_prefix == cfg.cls_token + cfg.distillation_token + cfg.n_registers
    assert layout.grid[1:] == cfg.grid


@law(configs(position=st.none()), st.integers(0, 1), st.integers(0, 2))
def test_a_patch_of_the_layout_is_that_patch_of_the_image(cfg, row, column):
    model, images = (
        build(cfg.replace(image_size=(4, 9))),
        images_for(cfg.replace(image_size=(4, 9))),
    )
    (height, width), changed = cfg.patch_size, images.clone()
    frames = changed if cfg.n_frames > 1 else changed[:, None]
    frame = cfg.places[0] - 1
    seen = frames[:, frame * cfg.tubelet : (frame + 1) * cfg.tubelet]
    seen[..., row * height : (row + 1) * height, column * width : (column + 1) * width] += 1
    before, after = (model.run_with_cache(x)[1]["hook_embed"] for x in (images, changed))
    moved = (before != after).any(-1).nonzero()[:, 1].unique().tolist()
    assert moved == model.layout.select((frame, row, column))


def test_pixels_that_fill_no_patch_are_covered_by_none():
    cfg = HookedViTConfig(1, 8, 2, image_size=(5, 10), patch_size=(2, 3), n_classes=2)
    model, images = build(cfg), images_for(cfg)
    assert model.layout.grid == (1, 2, 3) and model.layout.margin == (1, 1)
    mask = torch.zeros(5, 10)
    mask[-1], mask[:, -1] = 1, 1
    assert not model.layout.coverage(mask).any()
    with pytest.raises(ValueError, match="`mask` must be 5 x 10 pixels; got 4 x 9"):
        model.layout.coverage(mask[:4, :9])
    unseen = images.clone()
    unseen[..., -1, :], unseen[..., -1] = 7, 7
    assert torch.equal(model(unseen), model(images))
