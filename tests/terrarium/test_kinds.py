"""Kinds: what each has, and a new one in twenty lines."""

from collections import Counter

import numpy as np
import pytest

from vitreous.terrarium import (
    KINDS,
    PALETTES,
    WORLD_KINDS,
    Background,
    Pen,
    Scene,
    Thing,
    kind,
    render,
)
from vitreous.terrarium import _kinds as register


def test_the_world_has_at_least_two_dozen_kinds():
    assert len(WORLD_KINDS) >= 24
    assert set(WORLD_KINDS) <= set(KINDS)


def test_names_and_emoji_tell_kinds_apart():
    assert len({k.emoji for k in KINDS.values()}) == len(KINDS)


def test_every_palette_is_shared_by_at_least_four_kinds():
    shared = Counter(palette for name in WORLD_KINDS for palette in KINDS[name].palettes)
    assert set(shared) == set(PALETTES)
    assert min(shared.values()) >= 4


@pytest.mark.parametrize("part", ["eyes", "ears", "wheels", "stripes", "tail", "leaf"])
def test_parts_are_shared(part):
    having = [
        name
        for name in WORLD_KINDS
        if any(part in KINDS[name].drawing(style).parts for style in range(KINDS[name].n_styles))
    ]
    assert len(having) >= 2


@pytest.mark.parametrize("name", WORLD_KINDS)
def test_every_style_of_a_kind_is_another_picture(name):
    of = KINDS[name]
    pictures = {
        render(
            Scene((Thing(name, 500, 500, 800, of.palettes[0], style=i),), Background("snow"))
        ).image.tobytes()
        for i in range(of.n_styles)
    }
    assert len(pictures) == of.n_styles >= 2


@pytest.mark.parametrize("name", WORLD_KINDS)
def test_a_kind_fills_its_box_and_stays_in_it(name):
    for style in range(KINDS[name].n_styles):
        drawing = KINDS[name].drawing(style)
        reach = np.abs(drawing.points).max(0) / 64
        assert (reach <= 106).all() and reach.max() >= 80
        assert len(drawing.parts) >= 2


@pytest.mark.parametrize("name", WORLD_KINDS)
def test_every_part_of_a_kind_can_be_seen(name):
    of = KINDS[name]
    made = render(Scene((Thing(name, 500, 500, 860, of.palettes[0]),), Background("snow")), 224)
    seen = {part for i, (_, part) in enumerate(made.parts) if made.part_masks[i].any()}
    assert seen == set(of.drawing(0).parts)


def test_a_kind_of_your_own_is_drawn_like_the_others():

    @kind("robot", "🤖", "gray blue")
    def robot(pen: Pen) -> None:
        pen.box("head", (-50, -60, 50, 30))
        with pen.both_sides():
            pen.ellipse("eyes", (22, -20), 10, "yellow")

    made = render(Scene((Thing("robot", 500, 500, 800, "blue"),), Background("paper")))
    assert made.part_mask("eyes").any()
    assert made.factors["kind"] == "robot"
    register._REGISTER.pop("robot")
