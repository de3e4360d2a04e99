"""Where tokens are: every way to say it is that of an enumeration of them."""

import itertools

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import law
from tests.tiny import READOUTS, images_of, random_model
from vitreous.models import TokenLayout


@st.composite
def layouts(draw: st.DrawFn) -> TokenLayout:
    cls = draw(st.integers(0, 1))
    readout = draw(st.sampled_from(["patches", "all", *(["cls"] * cls)]))
    size = st.integers(1, 4)
    distillation = draw(st.integers(0, cls))
    registers = draw(st.integers(0, 3))
    grid = draw(st.tuples(st.integers(1, 3), size, size))
    return TokenLayout(
        cls, distillation, registers, grid, draw(st.tuples(size, size)), readout,
        tubelet=draw(st.integers(1, 2)),
    )  # fmt: skip


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


@law(layouts())
def test_counts_are_those_of_an_enumeration(layout):
    tokens = enumerated(layout)
    assert layout.n_tokens == len(tokens) == len(layout.names()) == len(set(layout.names()))
    assert layout.n_patches == len(counted(layout, "patches"))
    assert layout.n_prefix == len(tokens) - layout.n_patches


@law(layouts(), st.sampled_from(["cls", "distillation", "registers", "patches"]))
def test_a_group_is_its_tokens_and_an_empty_one_raises(layout, group):
    expected = counted(layout, group)
    if expected:
        assert layout.select(group) == expected
    else:
        with pytest.raises(ValueError, match="must select a token"):
            layout.select(group)


@law(layouts())
def test_all_and_readout_are_what_they_say(layout):
    reads = {"cls": ("cls", "distillation"), "patches": ("patches",)}
    everything = ("cls", "distillation", "registers", "patches")
    assert layout.select("all") == list(range(layout.n_tokens))
    assert layout.select("readout") == counted(layout, *reads.get(layout.readout, everything))


@law(layouts(), st.data())
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


@law(layouts(), st.data())
def test_lists_keep_their_order_and_masks_have_that_of_the_tokens(layout, data):
    indices = data.draw(st.lists(st.integers(0, layout.n_tokens - 1), min_size=1))
    assert layout.select(indices) == layout.select(torch.tensor(indices)) == indices
    mask = torch.zeros(layout.n_tokens, dtype=torch.bool)
    mask[indices] = True
    assert layout.select(mask) == layout.select(mask.numpy()) == sorted(set(indices))


@law(layouts(), st.integers(0, 2))
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


@law(layouts())
def test_a_value_stands_on_the_grid_where_its_token_lies(layout):
    grid = layout.to_grid(torch.arange(layout.n_tokens)[None], dim=1)[0]
    grid = grid if layout.grid[0] > 1 else grid[None]
    for where, (kind, place) in enumerate(enumerated(layout)):
        assert kind != "patches" or grid[place] == where


@law(layouts(), st.booleans(), st.integers(0, 1000))
def test_coverage_is_the_mean_over_the_pixels_of_a_patch(layout, is_bool, seed):
    (frames, rows, columns), (height, width) = layout.grid, layout.patch_size
    generator = torch.Generator().manual_seed(seed)
    n_frames = frames * layout.tubelet
    mask = torch.rand(2, n_frames, rows * height, columns * width, generator=generator)
    mask = mask > 0.5 if is_bool else mask
    coverage = layout.coverage(mask if n_frames > 1 else mask[:, 0])
    coverage = coverage if n_frames > 1 else coverage[:, None]
    assert coverage.shape == (2, frames, rows, columns)
    places = itertools.product(range(2), range(frames), range(rows), range(columns))
    for image, frame, row, column in places:
        pixels = [
            float(mask[image, frame * layout.tubelet + f, row * height + y, column * width + x])
            for f in range(layout.tubelet)
            for y in range(height)
            for x in range(width)
        ]
        assert abs(coverage[image, frame, row, column].item() - sum(pixels) / len(pixels)) < 1e-6


@pytest.mark.parametrize("readout", READOUTS)
def test_the_readout_is_the_tokens_that_the_head_depends_on(readout):
    model = random_model(**READOUTS[readout])
    _, cache = model.run_with_cache(
        images_of(model, 1),
        names_filter="blocks.2.hook_resid_post",
        incl_bwd=lambda logits: logits[:, 0],
    )
    gradient = cache["blocks.2.hook_resid_post_grad"][0]
    assert model.layout.select("readout") == gradient.abs().sum(-1).nonzero().flatten().tolist()
