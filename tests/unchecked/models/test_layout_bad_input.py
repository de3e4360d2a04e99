"""Positions that mean nothing, and tensors that don't lie on the grid."""

import pytest
import torch

from vitreous._errors import UnknownNameError
from vitreous.models import TokenLayout

LAYOUT = TokenLayout(1, 0, 2, (1, 3, 4), (2, 5))
CLIP = TokenLayout(1, 0, 0, (2, 3, 4), (2, 5))


def test_an_unknown_group_of_tokens_gets_the_nearest_and_all_there_are():
    with pytest.raises(UnknownNameError) as error:
        LAYOUT.select("patch")
    assert str(error.value) == (
        "No group of tokens is named 'patch'. Nearest: patches. Groups are all, readout, cls, "
        "distillation, registers, patches."
    )


@pytest.mark.parametrize(
    ("positions", "got"),
    [
        ("distillation", "'distillation'"),
        ([], r"\[\]"),
        (torch.zeros(15, dtype=torch.bool), "an empty selection"),
        (torch.tensor([], dtype=torch.long), "an empty selection"),
    ],
)
def test_an_empty_selection_says_what_there_is(positions, got):
    with pytest.raises(
        ValueError, match=rf"`positions` must select a token; got {got}, which "
    ) as e:
        LAYOUT.select(positions)
    assert str(e.value).endswith("This model has 1 class token, 2 register tokens, 3 x 4 patches.")


@pytest.mark.parametrize("index", [15, -16, [0, 15], torch.tensor([99])])
def test_an_index_outside_of_the_sequence_raises(index):
    with pytest.raises(ValueError, match=r"A token index must lie in 0\.\.14; got (15|-16|99)\. "):
        LAYOUT.select(index)


@pytest.mark.parametrize(
    "positions",
    [None, 2.0, [2.0], True, [True, False], torch.ones(3), torch.zeros(2, 2).long(), slice(3),
     {1, 2}, object(), (True, 0), (0.0, 1.0)],
)  # fmt: skip
def test_other_types_are_told_what_positions_are(positions):
    with pytest.raises(
        TypeError, match=r"`positions` must be a name \(all, .* a bool mask; got .*\. Pass one"
    ):
        LAYOUT.select(positions)


@pytest.mark.parametrize(
    ("layout", "place", "needed"),
    [
        (LAYOUT, (), r"\(row, column\)"),
        (LAYOUT, (1,), r"\(row, column\)"),
        (LAYOUT, (0, 1, 2, 3), r"\(row, column\)"),
        (CLIP, (1, 2), r"\(frame, row, column\)"),
    ],
)
def test_a_tuple_of_another_length_is_no_place(layout, place, needed):
    with pytest.raises(ValueError, match=rf"A tuple of `positions` must be {needed}; got \("):
        layout.select(place)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((3, 0), r"`row` must lie in 0\.\.2; got 3\. The grid is \(3, 4\)"),
        ((0, -5), r"`column` must lie in 0\.\.3; got -5\."),
        ((1, 0, 0), r"`frame` must lie in 0\.\.0; got 1\."),
    ],
)
def test_a_place_outside_of_the_grid_raises(place, message):
    with pytest.raises(ValueError, match=message):
        LAYOUT.select(place)


@pytest.mark.parametrize("shape", [(), (14,), (4, 3), (2, 3, 4)])
def test_a_mask_of_another_shape_raises(shape):
    with pytest.raises(ValueError, match="must cover 15 tokens or the 3 x 4 grid; got shape"):
        LAYOUT.select(torch.ones(shape, dtype=torch.bool))


def test_a_point_with_another_number_of_tokens_has_no_positions():
    with pytest.raises(ValueError, match="need 15 tokens; this point has 1"):
        LAYOUT.resolve("cls", 1)
    with pytest.raises(ValueError, match="`positions` need 15 tokens; this point has 7"):
        LAYOUT.resolve("all", 7)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: LAYOUT.to_grid(torch.zeros(2, 13)), "15 tokens or 12 patches in dimension 1; got"),
        (lambda: LAYOUT.to_grid(torch.zeros(15), 2), r"of 1 dimensions; got 2 for shape \[15\]"),
        (lambda: LAYOUT.to_grid(torch.zeros(()), 0), "of 0 dimensions; got 0"),
        (lambda: LAYOUT.from_grid(torch.zeros(4, 3)), r"needs 3 x 4 in .* end at 1; got .*\[4, 3"),
        (lambda: LAYOUT.from_grid(torch.zeros(3, 4), 0), "in the dimensions that end at 0"),
        (lambda: LAYOUT.from_grid(torch.zeros(3, 4), -3), "of 2 dimensions; got -3"),
        (lambda: LAYOUT.coverage(torch.zeros(20, 6)), "must be 6 x 20 pixels; got 20 x 6. Resize"),
    ],
)  # fmt: skip
def test_a_tensor_that_does_not_fit_the_grid_raises(act, message):
    with pytest.raises(ValueError, match=message):
        act()
