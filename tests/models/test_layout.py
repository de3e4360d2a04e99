"""Where tokens are: every way to select them, and from tokens to the grid and back."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import READOUTS, random_images, random_model
from vitreous.models import TokenLayout

# One class, one distillation and two register tokens, and 3 x 4 patches of 2 x 5 pixels.
LAYOUT = TokenLayout(1, 1, 2, (1, 3, 4), (2, 5))
CLIP = TokenLayout(1, 0, 1, (2, 3, 4), (2, 5))


@st.composite
def layouts(draw: st.DrawFn) -> TokenLayout:
    cls = draw(st.integers(0, 1))
    readout = draw(st.sampled_from(["patches", "all", *(["cls"] * cls)]))
    size = st.integers(1, 4)
    distillation = draw(st.integers(0, cls))
    registers = draw(st.integers(0, 3))
    grid = draw(st.tuples(st.integers(1, 3), size, size))
    return TokenLayout(cls, distillation, registers, grid, draw(st.tuples(size, size)), readout)


def enumerated(layout: TokenLayout) -> list[tuple[str, tuple[int, ...]]]:
    """Each token in order: which kind it is, and which of them or where."""
    prefix = [
        (kind, (i,))
        for kind, count in [
            ("cls", layout.cls),
            ("distillation", layout.distillation),
            ("registers", layout.registers),
        ]
        for i in range(count)
    ]
    return prefix + [("patches", place) for place in itertools.product(*map(range, layout.grid))]


def counted(layout: TokenLayout, *kinds: str) -> list[int]:
    return [i for i, (kind, _) in enumerate(enumerated(layout)) if kind in kinds]


# ---- properties


@given(layouts())
def test_counts_are_those_of_an_enumeration(layout):
    tokens = enumerated(layout)
    assert layout.n_tokens == len(tokens) == len(layout.names()) == len(set(layout.names()))
    assert layout.n_patches == len(counted(layout, "patches"))
    assert layout.n_prefix == len(tokens) - layout.n_patches


@given(layouts(), st.sampled_from(["cls", "distillation", "registers", "patches"]))
def test_a_group_is_its_tokens_and_an_empty_one_raises(layout, group):
    expected = counted(layout, group)
    if expected:
        assert layout.select(group) == expected
    else:
        with pytest.raises(ValueError, match="must select a token"):
            layout.select(group)


@given(layouts())
def test_all_and_readout_are_what_they_say(layout):
    reads = {"cls": ("cls", "distillation"), "patches": ("patches",)}
    everything = ("cls", "distillation", "registers", "patches")
    assert layout.select("all") == list(range(layout.n_tokens))
    assert layout.select("readout") == counted(layout, *reads.get(layout.readout, everything))


@given(layouts(), st.data())
def test_places_indices_and_masks_mean_the_same_patch(layout, data):
    where = data.draw(st.sampled_from(counted(layout, "patches")))
    frame, row, column = enumerated(layout)[where][1]
    clip = layout.grid[0] > 1
    over_tokens = torch.arange(layout.n_tokens) == where
    over_grid = over_tokens[layout.n_prefix :].reshape(layout.grid)
    assert layout.index(row, column, frame) == where
    same = [where, where - layout.n_tokens, [where], (frame, row, column), over_tokens, over_grid]
    same += [] if clip else [(row, column), over_grid[0]]
    assert [layout.select(each) for each in same] == [[where]] * len(same)
    assert layout.names()[where] == (f"f{frame}" if clip else "") + f"r{row}c{column}"


@given(layouts(), st.data())
def test_lists_keep_their_order_and_masks_have_that_of_the_tokens(layout, data):
    indices = data.draw(st.lists(st.integers(0, layout.n_tokens - 1), min_size=1))
    assert layout.select(indices) == layout.select(torch.tensor(indices)) == indices
    mask = torch.zeros(layout.n_tokens, dtype=torch.bool)
    mask[indices] = True
    assert layout.select(mask) == layout.select(mask.numpy()) == sorted(set(indices))


@given(layouts(), st.integers(0, 2))
def test_from_grid_undoes_to_grid(layout, dim):
    shape = [2, 3]
    shape.insert(dim, layout.n_tokens)
    tokens = torch.randn(shape)
    patches = tokens.narrow(dim, layout.n_prefix, layout.n_patches)
    n_grid = 3 if layout.grid[0] > 1 else 2
    for given_tokens in (tokens, patches):
        grid = layout.to_grid(given_tokens, dim)
        assert torch.equal(layout.from_grid(grid, dim + n_grid - 1), patches)
        assert torch.equal(layout.to_grid(layout.from_grid(grid, dim + n_grid - 1), dim), grid)


@given(layouts())
def test_a_value_stands_on_the_grid_where_its_token_lies(layout):
    grid = layout.to_grid(torch.arange(layout.n_tokens)[None], dim=1)[0]
    grid = grid if layout.grid[0] > 1 else grid[None]
    for where, (kind, place) in enumerate(enumerated(layout)):
        assert kind != "patches" or grid[place] == where


@given(layouts(), st.booleans(), st.integers(0, 1000))
def test_coverage_is_the_mean_over_the_pixels_of_a_patch(layout, is_bool, seed):
    (_, rows, columns), (height, width) = layout.grid, layout.patch_size
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(2, rows * height, columns * width, generator=generator)
    mask = mask > 0.5 if is_bool else mask
    coverage = layout.coverage(mask)
    assert coverage.shape == (2, rows, columns)
    for image, row, column in itertools.product(range(2), range(rows), range(columns)):
        pixels = [
            float(mask[image, row * height + y, column * width + x])
            for y in range(height)
            for x in range(width)
        ]
        assert abs(coverage[image, row, column].item() - sum(pixels) / len(pixels)) < 1e-6


# ---- examples that a person can check


def test_names_read_like_places():
    assert LAYOUT.names()[:6] == ["cls", "dist", "reg0", "reg1", "r0c0", "r0c1"]
    assert LAYOUT.names()[-1] == "r2c3"
    assert CLIP.names()[:3] == ["cls", "reg0", "f0r0c0"]
    assert CLIP.names()[-1] == "f1r2c3"


@pytest.mark.parametrize(
    ("positions", "tokens"),
    [
        ("cls", [0]),
        ("readout", [0, 1]),
        ("registers", [2, 3]),
        (5, [5]),
        (-1, [15]),
        ([5, 0, 5], [5, 0, 5]),
        ([-16], [0]),
        (range(3), [0, 1, 2]),
        ((0, 0), [4]),
        ((2, 3), [15]),
        ((-1, -1), [15]),
        ((0, 1, 0), [8]),
        (torch.tensor([3, -1]), [3, 15]),
        (np.array([2, 1]), [2, 1]),
        (torch.eye(3, 4, dtype=torch.bool), [4, 9, 14]),
        (np.eye(3, 4, dtype=bool)[None], [4, 9, 14]),
    ],
)
def test_positions_can_be_said_in_these_ways(positions, tokens):
    assert LAYOUT.select(positions) == tokens


def test_a_tuple_is_a_place_and_a_list_is_two_tokens():
    assert LAYOUT.select((1, 2)) == [LAYOUT.index(row=1, column=2)] == [10]
    assert LAYOUT.select([1, 2]) == [1, 2]


def test_places_in_a_clip_have_a_frame():
    assert CLIP.select((1, 0, 2)) == [CLIP.index(0, 2, frame=1)] == [2 + 12 + 2]
    assert CLIP.index(-1, -1, -1) == CLIP.n_tokens - 1
    assert CLIP.to_grid(torch.zeros(5, CLIP.n_tokens)).shape == (5, 2, 3, 4)


def test_one_pooled_token_is_everything_that_is_read():
    assert LAYOUT.resolve("all", 1) == LAYOUT.resolve("readout", 1) == [0]
    assert LAYOUT.resolve([3, 4], LAYOUT.n_tokens) == [3, 4]


@pytest.mark.parametrize("readout", READOUTS)
def test_the_readout_is_the_tokens_that_the_head_depends_on(readout):
    model = random_model(**READOUTS[readout])
    _, cache = model.run_with_cache(
        random_images(1),
        names_filter="blocks.2.hook_resid_post",
        incl_bwd=lambda logits: logits[:, 0],
    )
    gradient = cache["blocks.2.hook_resid_post_grad"][0]
    assert model.layout.select("readout") == gradient.abs().sum(-1).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    "three", [np.int64(3), torch.tensor(3), [np.int32(3)], np.array([3]), (np.int64(0), 0)]
)
def test_whole_numbers_of_numpy_and_torch_are_whole_numbers(three):
    layout = TokenLayout(1, 0, 2, (1, 3, 4), (2, 5))
    assert layout.select(three) == [3]
    assert type(layout.select(three)[0]) is int
