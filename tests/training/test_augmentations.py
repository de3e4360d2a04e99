"""Random changes of training pictures."""

import torch

from vitreous.training import Shift


def test_a_shifted_picture_is_the_picture_moved_on_its_background():
    pixels = torch.zeros(400, 1, 5, 5)
    pixels[:, :, 2, 2] = 1
    moved = Shift(reach=2, background=-7.0)(pixels, torch.Generator().manual_seed(0))
    places = {(int(row), int(column)) for _, _, row, column in (moved == 1).nonzero()}
    assert places == {(row, column) for row in range(5) for column in range(5)}
    kept = (moved != -7).sum((1, 2, 3))
    assert set(kept.tolist()) == {a * b for a in (3, 4, 5) for b in (3, 4, 5)}


def test_no_reach_changes_nothing():
    pixels = torch.randn(4, 3, 6, 7)
    assert torch.equal(Shift(0, background=0.0)(pixels, torch.Generator()), pixels)
