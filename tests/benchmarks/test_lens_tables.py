"""The tables of lenses say what was measured, and choose without a look at what they grade."""

import numpy as np
import pytest
import xarray

from benchmarks.lenses import best_row, rows
from benchmarks.when_known import between, by_layer

LENSES, LAYERS = ["logit", "jacobian"], [-1, 0, 1]
MEASURES = (
    "kl", "rank", "causal_cosine", "mean_iou", "pixel_accuracy", "mean_average_precision",
)  # fmt: skip


def graded(iou: np.ndarray) -> xarray.Dataset:
    """`iou[part, lens, layer]`; everything else is one."""
    dims = ("part", "lens", "layer")
    values = {name: (dims, np.ones(iou.shape)) for name in MEASURES} | {"mean_iou": (dims, iou)}
    answers = {
        f"answer_{name}": (dims[:2], np.full(iou.shape[:2], 0.25))
        for name in MEASURES
        if name not in ("kl", "rank", "causal_cosine")
    }
    return xarray.Dataset(values | answers, {"lens": LENSES, "layer": LAYERS})


def test_the_best_layer_is_chosen_on_one_set_and_graded_on_the_others():
    iou = np.zeros((3, 2, 3))
    iou[0] = [[0.5, 0, 0], [0, 0, 0.5]]  # chooses -1 and 1
    iou[1:] = [[0.1, 0.9, 0.9], [0.9, 0.9, 0.3]]
    assert best_row("a model", graded(iou)) == {
        "model": "a model",
        "logit": "10.0 ± 0.0 (-1)",
        "jacobian": "30.0 ± 0.0 (1)",
        "the answer, everywhere": "25.0 ± 0.0",
    }


def test_every_lens_has_a_row_per_layer_and_the_answer_one():
    found = list(rows(graded(np.full((3, 2, 3), 0.5))))
    assert [(row["lens"], row["layer"]) for row in found[:-1]] == [
        (lens, layer) for lens in LENSES for layer in LAYERS
    ]
    assert found[-1]["IoU, %"] == "25.0 ± 0.0" and found[-1]["KL, nats"] == ""
    assert len({tuple(row) for row in found}) == 1


def known(layers: list[float], kinds: list[int]) -> xarray.Dataset:
    first, kind = np.array(layers), np.array(kinds)
    those = [first[kind == each] for each in np.unique(kind)]
    return xarray.Dataset(
        {
            "known_from": ("image", first),
            "known": ("label", [int((~np.isnan(each)).sum()) for each in those]),
            "mean": ("label", [np.nanmean(each) for each in those]),
        },
        {"layer": LAYERS},
    )


def test_the_spread_between_kinds_is_all_or_nothing_of_the_spread():
    assert between(known([0, 0, 1, 1], [0, 0, 1, 1])) == pytest.approx(1)
    assert between(known([0, 1, 0, 1], [0, 0, 1, 1])) == pytest.approx(0)
    assert between(known([0, 1, 1, 2, np.nan], [0, 0, 1, 1, 1])) == pytest.approx(0.5)


def test_what_is_known_grows_with_layers_and_the_rest_is_never_known():
    row = by_layer("a model", known([0, 0, 1, np.nan], [0, 0, 0, 0]))
    assert [row[name].split()[0] for name in ("layer -1", "layer 0", "layer 1", "never")] == [
        "0.0", "50.0", "75.0", "25.0",
    ]  # fmt: skip
    assert row["layer 3"] == ""
