"""Batches: every process reads its share, and an epoch goes on from anywhere."""

import pytest
import torch

from vitreous.data import Images
from vitreous.data._images import Sample
from vitreous.training import Plan, Shift, unchanged
from vitreous.training._batches import Batches

PLAN = Plan(epochs=2, batch_size=4, learning_rate=1.0)


def drawn(place: int) -> Sample:
    """A picture that nobody stored: its number, in every pixel."""
    return Sample(torch.full((1, 3, 3), float(place)), place % 2)


def drawn_with_a_map(place: int) -> Sample:
    return Sample(*drawn(place)[:2], torch.full((3, 3), place))


def batches(plan: Plan = PLAN, count: int = 10, augment=unchanged, **share) -> Batches:
    generator = torch.Generator().manual_seed(0)
    return Batches(Images(drawn, count), plan, augment, generator, **share)


def places(of: Batches, done: int = 0) -> list[list[int]]:
    return [batch.index.tolist() for batch in of.epoch(done)]


def test_an_epoch_takes_every_picture_once_but_for_what_fills_no_batch():
    first = places(batches())
    assert [len(each) for each in first] == [4, 4]
    assert len({place for each in first for place in each}) == 8


def test_every_epoch_has_an_order_of_its_own():
    both = batches()
    assert places(both) != places(both)


def test_a_stream_is_read_as_it_comes():
    stream = Plan(steps=2, batch_size=4, learning_rate=1.0, shuffle=False)
    assert places(batches(stream)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_only_what_is_asked_for_is_read():
    read = []

    def noted(place: int) -> Sample:
        read.append(place)
        return drawn(place)

    stream = Plan(steps=2, batch_size=4, learning_rate=1.0, shuffle=False)
    endless = Batches(Images(noted, 2**40), stream, unchanged, torch.Generator())
    next(endless.epoch(1))
    assert read == [4, 5, 6, 7]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_an_epoch_taken_up_again_has_the_same_rest(done):
    shift = Shift(1, background=-1.0)
    whole, begun = batches(count=16, augment=shift), batches(count=16, augment=shift)
    expected = list(whole.epoch(0))[done:]
    epoch = begun.epoch(0)
    for _ in range(done):
        next(epoch)
    again = batches(count=16, augment=shift)
    again.generator.manual_seed(99)
    again.restore(begun.tensors())
    for one, other in zip(again.epoch(done), expected, strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.pixels, other.pixels)
    assert places(again) == places(whole)


def test_processes_share_the_pictures_and_the_chance_of_one():
    shift = Shift(1, background=-1.0)
    alone = list(batches(augment=shift).epoch(0))
    shares = [
        list(batches(augment=shift, process=process, n_processes=2).epoch(0))
        for process in range(2)
    ]
    for whole, one, other in zip(alone, *shares, strict=True):
        assert torch.equal(whole.index, torch.cat([one.index, other.index]))
        assert torch.equal(whole.pixels, torch.cat([one.pixels, other.pixels]))


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="`batch_size` must be a multiple of the 3 processes; got"):
        batches(n_processes=3)


def test_workers_that_read_ahead_change_nothing():
    shift = Shift(1, background=-1.0)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    alone, ahead = (batches(augment=shift, workers=workers) for workers in (0, 2))
    for one, other in zip(alone.epoch(0), ahead.epoch(0), strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
    assert torch.equal(torch.get_rng_state(), before)


def test_label_maps_come_along_where_nothing_moves_in_the_pictures():
    generator = torch.Generator().manual_seed(0)
    [batch, _] = Batches(Images(drawn_with_a_map, 8), PLAN, unchanged, generator).epoch(0)
    assert batch.masks[:, 1, 2].tolist() == batch.index.tolist()


def test_label_maps_are_dropped_where_pictures_are_changed():
    generator, shift = torch.Generator().manual_seed(0), Shift(1, background=0.0)
    [batch, _] = Batches(Images(drawn_with_a_map, 8), PLAN, shift, generator).epoch(0)
    assert batch.masks is None
