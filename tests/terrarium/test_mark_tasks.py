"""Pictures of marks: what they show, what is right about them, and pairs of them."""

import zlib

import numpy as np
import pytest
import torch

from vitreous.models import Pairs
from vitreous.terrarium import (
    MARK_TASKS,
    MARKS_PREPROCESSING,
    TRAINED_CIRCUITS,
    compiled_model,
    mark_task,
    trained_circuit,
    trained_circuits,
)

COLORS = np.array([(205, 50, 45), (60, 160, 75), (50, 85, 190), (225, 190, 50)])
# Of the first two test pictures.
HASHES = {
    "common": (2853976916, 1164601244),
    "cued": (1022488761, 4030120734),
    "told": (986343011, 2302203885),
}


def seen(picture: np.ndarray, row: int, column: int) -> int:
    """The color of a cell, or 4 where no color is near."""
    middle = picture[row * 6 + 1 : row * 6 + 5, column * 6 + 1 : column * 6 + 5]
    away = np.abs(middle.reshape(-1, 3).mean(0) - COLORS).sum(1)
    return int(away.argmin()) if away.min() < 30 else 4


def side(picture: np.ndarray) -> int:
    """The color on the left by night, on the right by day."""
    columns = (0, 1) if picture[::6, ::6].mean() < 150 else (2, 3)
    [color] = {seen(picture, row, column) for row in range(4) for column in columns} - {4}
    return color


def both(picture: np.ndarray) -> int:
    first, second = seen(picture, 1, 0), seen(picture, 2, 3)
    return first if first == second else 4


ANSWERS = {"common": both, "cued": side, "told": side}


@pytest.mark.parametrize("name", MARK_TASKS)
def test_labels_are_what_can_be_seen_in_the_picture(name):
    task = mark_task(name)
    pictures = [task.picture("test", index) for index in range(60)]
    labels = task.images("test", 60)[:60].labels.tolist()
    assert labels == [ANSWERS[name](picture) for picture in pictures]
    assert len(set(labels)) > 3


@pytest.mark.parametrize("name", MARK_TASKS)
def test_a_picture_is_the_same_for_good_and_another_in_another_split(name):
    task = mark_task(name)
    found = tuple(zlib.crc32(task.picture("test", index).tobytes()) for index in (0, 1))
    assert found == HASHES[name]
    assert (task.picture("test", 0) != task.picture("train", 0)).any()


@pytest.mark.parametrize("name", MARK_TASKS)
def test_what_a_model_sees_is_the_picture_and_its_label_map_the_symbols(name):
    task = mark_task(name)
    batch = task.images("test", 5)[:5]
    shown = MARKS_PREPROCESSING.inverse(batch.pixels).numpy()
    assert (shown == np.stack([task.picture("test", index) for index in range(5)])).all()
    expected = torch.stack([task.symbols("test", index) for index in range(5)])
    assert torch.equal(batch.masks[:, ::6, ::6], expected)
    assert torch.equal(batch.masks[:, 5::6, 5::6], expected)


def test_marks_in_common_are_as_frequent_as_not():
    labels = mark_task("common").images("test", 400)[:400].labels
    assert 150 < int((labels == 4).sum()) < 250


@pytest.mark.parametrize("name", TRAINED_CIRCUITS)
def test_pairs_have_the_two_answers_that_the_target_tells_apart(name):
    circuit = trained_circuit(name)
    clean, corrupt = circuit.pairs(6, seed=3)
    answer, other = circuit.target.name.split(" - ")
    for half, expected in ((clean, answer), (corrupt, other)):
        pictures = MARKS_PREPROCESSING.inverse(half).numpy()
        found = {circuit.model.labels.names[ANSWERS[name](picture)] for picture in pictures}
        assert found == {expected}
    values = Pairs.of(circuit.model, clean, corrupt, circuit.target)
    assert (values.clean_value > values.corrupt_value + 1).all()


@pytest.mark.parametrize("name", TRAINED_CIRCUITS)
def test_pairs_and_images_don_t_depend_on_how_many_are_asked_for(name):
    circuit = trained_circuit(name)
    for few, many in zip(circuit.pairs(2), circuit.pairs(5), strict=True):
        assert torch.equal(few, many[:2])
        assert not torch.equal(many[0], many[1])
    assert torch.equal(circuit.images(2)[0], circuit.images(4)[0][:2])
    assert not torch.equal(circuit.images(2, seed=1)[0], circuit.images(2)[0])


@pytest.mark.parametrize("name", TRAINED_CIRCUITS)
def test_images_have_the_labels_that_the_model_gives_them(name):
    circuit = trained_circuit(name)
    pixels, labels = circuit.images(64)
    assert (circuit.model(pixels).argmax(-1) == labels).double().mean() > 0.95


def test_all_of_them_tell_their_circuits():
    for circuit in trained_circuits():
        edges = [tuple(edge[:2]) for edge in circuit.graph.edges()]
        assert sorted(edges) == sorted(circuit.task.causal.edges)
        nodes = {end.partition("<")[0] for edge in edges for end in edge} - {"input", "logits"}
        assert set(circuit.roles) == nodes
        assert f"{len(edges)} of {circuit.graph.n_possible} edges are true" in repr(circuit)


def test_they_offer_what_compiled_models_offer():
    for circuit in (trained_circuit("cued"), compiled_model("switch")):
        clean, corrupt = circuit.pairs(2, seed=1)
        images, labels = circuit.images(3, seed=1)
        assert clean.shape == corrupt.shape == (2, *images.shape[1:])
        assert labels.shape == (3,)
        assert circuit.target(circuit.model(clean)).shape == (2,)
        assert circuit.graph.count < circuit.graph.n_possible
        assert len(circuit.roles) > 0
        assert circuit.n_kinds > 0
        assert isinstance(circuit.name, str)
        assert circuit.about.endswith((".", "?"))
