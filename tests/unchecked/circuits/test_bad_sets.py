"""What circuits say to input that they can't take."""

import re
from typing import Any

import pytest
import torch

from tests.tiny import images_of, random_model
from vitreous import HookError
from vitreous.circuits import (
    MaskedRuns,
    acdc,
    completeness,
    edge_pruning,
    exact,
    faithfulness,
    faithfulness_curve,
    minimality,
    split_pairs,
)
from vitreous.models import Graph, Pairs, TokenGroups

MODEL = random_model(n_layers=1, n_heads=2, d_model=8)
PAIRS = Pairs.of(MODEL, images_of(MODEL, 2, 1), images_of(MODEL, 2, 2), MODEL.target(1, minus=3))
GRAPH = Graph.of(MODEL)
OTHER = Graph.of(random_model(n_layers=2, n_heads=2, d_model=8))


def says(words: str) -> Any:
    return pytest.raises(ValueError, match=re.escape(words))


@pytest.mark.parametrize("method", [exact, acdc, edge_pruning, faithfulness])
def test_a_graph_must_be_of_the_model(method: Any) -> None:
    with says("A graph must be of the model that it is used with; got one of GraphShape("):
        method(PAIRS, OTHER)


@pytest.mark.parametrize("method", [completeness, minimality])
def test_of_an_empty_circuit_nothing_can_be_left_out(method: Any) -> None:
    with says("The circuit must have an edge; got an empty one. Take `graph.top(count)`"):
        method(PAIRS, GRAPH.keeping([]))


def test_masks_must_have_the_shape_of_the_graph() -> None:
    runs = MaskedRuns(PAIRS, GRAPH)
    with says("`keep` must be [sets, 1, 4, 8], one mask of the graph per set; got shape [1, 4, 8]"):
        runs.logits(GRAPH.included)
    assert runs.logits(GRAPH.included[None][:0]).shape == (0, 2, 5)


def test_a_metric_must_give_a_number() -> None:
    target = MODEL.target(lambda logits: logits[:, 0].where(logits[:, 0] == known, torch.nan))
    known = MODEL(PAIRS.clean)[:, 0].detach()
    pairs = Pairs(MODEL, target, PAIRS.clean, PAIRS.corrupt, known, known + 1)
    with says("must be finite; got"):
        exact(pairs, GRAPH)


def test_groups_must_be_those_of_the_graph() -> None:
    groups = TokenGroups.of(MODEL.layout, "kinds")
    with says("`groups` must be those of the graph, all; got cls, patches. Pass the `TokenGroups`"):
        exact(PAIRS, GRAPH, groups=groups)


def test_hooks_would_be_passed_by() -> None:
    hook = ("blocks.0.hook_mlp_out", lambda value, _: None)
    with MODEL.hooks(fwd_hooks=[hook]):
        with pytest.raises(HookError, match="must run on a model without hooks; got one on `blo"):
            MaskedRuns(PAIRS, GRAPH)
        MODEL(PAIRS.clean)


def test_a_full_memory_says_which_batch_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = MaskedRuns(PAIRS, GRAPH, max_batch=8)

    def is_full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("vitreous.circuits._stacked_run.attended", is_full)
    with pytest.raises(MemoryError, match=r"which don't\. Use `max_batch=4`\."):
        runs.logits(torch.zeros(4, *GRAPH.possible.shape))


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        (exact, {"direction": "up"}, "`direction` must be 'noise' or 'denoise'; got 'up'."),
        (exact, {"direction": "denoise", "baseline": "zero"}, "`baseline` must be 'corrupt'"),
        (exact, {"baseline": "blur"}, "`baseline` must be 'corrupt', 'zero' or 'mean'; got 'blur'"),
        (exact, {"max_batch": 0}, "`max_batch` must be 1 or more; got 0. Pass 64."),
        (acdc, {"metric": "loss"}, "`metric` must be 'kl' or 'target'; got 'loss'."),
        (acdc, {"thresholds": [-1.0]}, "`thresholds` must be positive numbers; got [-1.0]."),
        (edge_pruning, {"batch": 0}, "`batch` must be 1 or more; got 0. Pass 64."),
        (edge_pruning, {"sparsity": 1.5}, "`sparsity` must lie between 0 and 1; got 1.5."),
        (faithfulness_curve, {}, "This graph must have scores; got one without."),
        (faithfulness_curve, {"sizes": [0.5, 0.1]}, "`sizes` must be two or more shares in (0, 1]"),
        (minimality, {"level": "head"}, "`level` must be 'edge' or 'node'; got 'head'."),
    ],
)
def test_options_are_checked(method: Any, given: dict[str, Any], message: str) -> None:
    with says(message):
        method(PAIRS, GRAPH, **given)


def test_circuits_must_be_of_one_model() -> None:
    with says("`circuits` must hold a graph; got none. Pass one or more."):
        faithfulness(PAIRS, [])
    with says("All circuits must be of one model and its groups; got Graph("):
        faithfulness(PAIRS, [GRAPH, OTHER])


def test_a_model_of_one_output_has_no_divergence() -> None:
    model = random_model(n_layers=1, n_heads=2, d_model=8, n_classes=1)
    pairs = Pairs.of(model, images_of(model, 1, 1), images_of(model, 1, 2), 0)
    with says("`metric='kl'` needs a distribution over labels; got a model with 1 output."):
        acdc(pairs, Graph.of(model))


def test_pairs_must_be_enough_to_split() -> None:
    with says("`share` must lie between 0 and 1, of two pairs or more; got 1.0 of 2."):
        split_pairs(PAIRS, 1.0)
