"""What `terrarium-repeats` learns from: every question has its answer, seen in the pixels."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from vitreous.terrarium import Scene, Task, Thing, render_image
from vitreous.training import find_recipe

RECIPE = find_recipe("terrarium-repeats")
TASK, IMAGES = Task("repeats"), RECIPE.images("train")
MOTIFS = TASK.class_names.names
PLACES = [0, 1, 2, 1000, 60_000, 60_001]


def picture(place: int) -> np.ndarray:
    return RECIPE.preprocessing.inverse(IMAGES.read(place).pixels[None])[0].numpy()


def asked(place: int) -> list[int]:
    return IMAGES.read(place).mask[6::12, 6::12].flatten().tolist()


def row_of(scene: Scene) -> list[tuple[str, str]]:
    """What stands in it once, in order."""
    return list(dict.fromkeys((thing.kind, thing.palette) for thing in scene.objects))


@cache
def shown(place: int) -> list[str]:
    """What each cell shows: its motif and color, "?" or "", found by drawing all of them."""
    scene, found = TASK.scene(place), picture(place)
    drawn = {"": render_image(replace(scene, objects=(), words=()))}
    [question] = scene.words
    places = [(62 + cell % 8 * 125, 62 + cell // 8 * 125) for cell in range(64)]
    marks = tuple(replace(question, x=x, y=y) for x, y in places)
    drawn["?"] = render_image(replace(scene, objects=(), words=marks))
    for kind, palette in row_of(scene):
        things = tuple(Thing(kind, x, y, 104, palette) for x, y in places)
        drawn[f"{kind} {palette}"] = render_image(replace(scene, objects=things, words=()))
    return [
        min(drawn, key=lambda name: np.abs(inside(drawn[name], cell) - inside(found, cell)).sum())
        for cell in range(64)
    ]


def inside(whole: np.ndarray, cell: int) -> np.ndarray:
    """A cell without its edge, over which a neighbor may reach."""
    y, x = (12 * each for each in divmod(cell, 8))
    return whole[y + 2 : y + 10, x + 2 : x + 10].astype(int)


@pytest.mark.parametrize("place", PLACES)
def test_each_patch_is_asked_for_what_it_hides_what_comes_next_or_what_was_before(place):
    cells, questions = shown(place), asked(place)
    row = [kind for kind, _ in row_of(TASK.scene(place))]
    names = [cell.split()[0] if cell not in ("", "?") else cell for cell in cells]
    period = next(p for p in range(5, 17) if repeats(cells, p))
    truth = [row[cell % period] for cell in range(64)]
    for cell, name in enumerate(names):
        if name == "":
            answer = None
        elif name == "?":
            answer = truth[cell]
        elif names[cell + 1] == "?":
            answer = truth[cell + 1]
        else:
            seen_before = cell and names[cell - 1] != "?"
            answer = truth[cell - 1] if seen_before else None
        assert questions[cell] == (-1 if answer is None else MOTIFS.index(answer)), cell
        assert name in ("", "?", truth[cell])


def repeats(cells: list[str], period: int) -> bool:
    pairs = [(a, b) for a, b in zip(cells, cells[period:], strict=False) if "" not in (a, b)]
    return all("?" in pair or pair[0] == pair[1] for pair in pairs)


@pytest.mark.parametrize("place", PLACES)
def test_the_label_is_what_the_last_question_mark_hides(place):
    last = max(cell for cell, what in enumerate(shown(place)) if what == "?")
    assert asked(place)[last] == IMAGES.read(place).label


def test_a_fifth_of_the_pictures_is_as_the_task_draws_them():
    drawn = [np.array_equal(picture(place), TASK[place][0]) for place in range(100)]
    assert 8 <= sum(drawn) <= 32
    labels = [IMAGES.read(place).label == TASK[place][1] for place in range(100) if drawn[place]]
    assert all(labels)


def test_a_picture_is_the_same_at_every_reading():
    for place in PLACES:
        one, other = IMAGES.read(place), IMAGES.read(place)
        assert one.label == other.label
        assert one.pixels.equal(other.pixels)
        assert one.mask.equal(other.mask)


@pytest.mark.parametrize("place", [1, 2, 5, 1000])
def test_rows_with_many_question_marks_start_again_soon_at_first(place):
    cells = shown(place)
    assert cells.count("?") > 1
    assert any(repeats(cells, period) for period in range(5, 9))
