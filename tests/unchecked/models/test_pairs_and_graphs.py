"""What pairs and graphs say of bad input."""

import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous._errors import UnknownNameError, UnsupportedModelError
from vitreous.models import Graph, NormConfig, Pairs, within_memory


@pytest.fixture(scope="module")
def model():
    return random_model()


def test_halves_of_different_shape(model):
    with pytest.raises(ValueError, match=r"must have one shape; got \[2, 3, 12, 8\] and \[3, 3"):
        Pairs.of(model, random_images(2), random_images(3), 0)


def test_no_pairs(model):
    with pytest.raises(ValueError, match="`clean` must hold an image; got none"):
        Pairs.of(model, random_images(1)[:0], random_images(1)[:0], 0)


def test_a_pair_on_which_the_target_does_not_differ_shows_both_values(model):
    clean, corrupt = random_images(3), random_images(3, seed=2)
    corrupt[1] = clean[1]
    value = model.target(0)(model(clean))[1]
    line = rf"got {value:.6g} and {value:.6g} on pair 1, and the same on 1 of 3 in all"
    with pytest.raises(ValueError, match=line):
        Pairs.of(model, clean, corrupt, 0)


def test_a_metric_must_be_one_number_per_image(model):
    with pytest.raises(ValueError, match=r"A metric must return one number per image, shape \[2\]"):
        Pairs.of(model, random_images(2), random_images(2, seed=2), lambda logits: logits)


def test_a_metric_must_be_finite(model):
    def broken(logits):
        return logits[:, 0] * torch.nan

    with pytest.raises(ValueError, match=r"`broken` must be finite; got 2 of 2 values"):
        Pairs.of(model, random_images(2), random_images(2, seed=2), broken)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_out_of_memory_says_which_batch_to_use(error):
    line = r"got 64 images at once.* Use `max_batch=32`"
    with pytest.raises(MemoryError, match=line), within_memory(64):
        raise error


def test_a_real_allocation_that_fails_says_so_too():
    with pytest.raises(MemoryError, match=r"Use `max_batch=1`"), within_memory(3):
        torch.empty(2**55)


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match=r"^another$"), within_memory(64):
        raise RuntimeError("another")


def test_edges_have_known_names_and_lead_forward(model):
    graph = Graph.of(model)
    with pytest.raises(UnknownNameError, match=r"No source of this graph is named 'a0.h9'"):
        graph.keeping([("a0.h9", "logits")])
    with pytest.raises(ValueError, match="lead from what is written to what reads it later"):
        graph.keeping([("m1", "a0.h0<q>")])


def test_graphs_of_other_models_are_refused(model):
    with pytest.raises(ValueError, match="must be of the model that it is used with"):
        Graph.of(random_model(n_layers=2)).require_model(model)


def test_scores_are_asked_for(model):
    with pytest.raises(ValueError, match=r"This graph must have scores"):
        Graph.of(model).top(1)
    graph = Graph.of(model).scored(torch.zeros(Graph.of(model).possible.shape))
    with pytest.raises(ValueError, match=r"`count` must lie in"):
        graph.top(10**6)


def test_models_without_edges_are_refused():
    with pytest.raises(UnsupportedModelError, match="normalizes what attention and MLP add"):
        Graph.of(random_model(norm=None, out_norm=NormConfig()))
