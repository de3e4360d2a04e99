"""What a report on a circuit says of bad input: one line that tells how to mend it."""

import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.heads import score_heads
from vitreous.models import Graph, HookedViT
from vitreous.report import circuit_report
from vitreous.view import Curve, Table


@pytest.fixture(scope="module")
def model():
    return random_model(n_layers=2)


@pytest.fixture(scope="module")
def halves(model):
    return images_of(model, 4).split(2)


def test_an_empty_circuit_is_refused(model, halves):
    with pytest.raises(ValueError, match=r"^A circuit must have an edge; got .* none\. Choose"):
        circuit_report(model, Graph.of(model).keeping([]), *halves, 0)


def test_a_graph_of_another_model_is_refused(model, halves):
    with pytest.raises(ValueError, match=r"^A graph must be of the model that it is used with"):
        circuit_report(model, Graph.of(random_model(n_layers=1)), *halves, 0)


def test_scores_of_another_model_are_refused(model, halves):
    other = random_model(n_layers=1)
    scores = score_heads(other, halves[0], scores=["self"])
    with pytest.raises(ValueError, match="must be of this model's 2 x 4 heads; got 1 x 4"):
        circuit_report(model, Graph.of(model), *halves, 0, scores=scores)


def test_pairs_that_do_not_differ_are_refused(model, halves):
    with pytest.raises(ValueError, match="must differ between clean and corrupt; got"):
        circuit_report(model, Graph.of(model), halves[0], halves[0], 0)


def test_clips_are_refused():
    clips: HookedViT = random_model(**READOUTS["clips, attention over time and over space"])
    images = images_of(clips)
    with pytest.raises(ValueError, match="shows patches on one picture; got a model of clips"):
        circuit_report(clips, Graph.of(random_model()), images, images, 0)


def test_roles_are_of_parts_of_the_graph(model, halves):
    with pytest.raises(ValueError, match=r"`notes` must name parts of this graph; got 'a7\.h0'"):
        circuit_report(model, Graph.of(model), *halves, 0, roles={"a7.h0": "?"})


def test_rows_of_a_table_are_as_long_as_its_head():
    with pytest.raises(ValueError, match=r"must have 2 cells, one per column; got 1\. Pass None"):
        Table(["a", "b"], [["x"]])


def test_numbers_of_a_table_are_finite():
    with pytest.raises(ValueError, match=r"Numbers in a table must be finite; got \['x', nan\]"):
        Table(["a", "b"], [["x", float("nan")]])


@pytest.mark.parametrize("sizes", [[], [0.0, 1.0], [2.0, 1.0], [1.0, 2.0, 3.0]])
def test_sizes_of_a_curve_rise(sizes):
    with pytest.raises(ValueError, match=r"must have sizes that rise from above zero, and a value"):
        Curve(torch.tensor(sizes), torch.zeros(2), ["a", "b"])
