"""What discovery says of questions that it can't answer."""

import pytest
import torch

import vitreous as vt
from tests.tiny import random_images, random_model
from vitreous._errors import HookError, UnknownNameError, UnsupportedModelError
from vitreous.circuits import auroc
from vitreous.models import Graph, NormConfig


def found(model=None, target=0, **options):
    model = model or random_model()
    return vt.discover(model, random_images(), random_images(seed=2), target, **options)


def test_an_unknown_method_is_named_beside_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"No method of discovery is named 'eap-gi'. Near.*"):
        found(method="eap-gi")


def test_options_of_other_methods_are_refused():
    with pytest.raises(TypeError, match=r"Method 'eap' takes .*; got 'threshold'. Leave it out."):
        found(threshold=3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 0}, r"`steps` must be at least 1; got 0"),
        ({"rule": "right"}, r"`rule` must be 'midpoint' or 'left'; got 'right'"),
        ({"max_batch": 0}, r"`max_batch` must be at least 1; got 0"),
        ({"groups": "heads"}, r"`groups` must be None, 'kinds'"),
    ],
)
def test_options_must_mean_something(options, says):
    with pytest.raises(ValueError, match=says):
        found(method="eap-ig", **options)


def test_pairs_must_differ_in_the_target():
    images = random_images(3)
    other = torch.cat([random_images(2, seed=2), images[2:]])
    with pytest.raises(ValueError, match=r"must differ between clean and corrupt; .* on pair 2"):
        vt.discover(random_model(), images, other, 0, max_batch=2)


def test_both_halves_must_have_one_shape():
    with pytest.raises(ValueError, match=r"`clean` and `corrupt` must have one shape"):
        vt.discover(random_model(), random_images(3), random_images(2), 0)


@pytest.mark.parametrize("method", ["eap", "eap-ig"])
def test_a_target_must_have_a_gradient(method):
    with pytest.raises(ValueError, match=r"must be differentiable; its value has no graph"):
        found(target=lambda logits: logits.detach()[:, 0], method=method)


def test_a_metric_must_be_a_number_per_image():
    with pytest.raises(ValueError, match=r"must return one number per image"):
        found(target=lambda logits: logits)
    with pytest.raises(ValueError, match=r"must be finite"):
        found(target=lambda logits: logits[:, 0] / 0)


def test_heads_must_add_to_the_stream():
    with pytest.raises(UnsupportedModelError, match=r"needs heads and MLPs that each add"):
        found(random_model(norm=None, out_norm=NormConfig()))


def test_what_parts_read_must_be_what_others_wrote():
    model = random_model()
    with (
        model.hooks([("blocks.1.hook_attn_out", lambda x, hook: x * 2)]),
        pytest.raises(HookError, match=r"a hook replaced `blocks.1.hook_attn_out` in this run"),
    ):
        found(model)


def test_graphs_of_other_models_are_not_compared():
    true = Graph.of(random_model(n_layers=2)).keeping([("m0", "logits")])
    with pytest.raises(ValueError, match=r"Both graphs must be of one model and one set of groups"):
        auroc(found(), true)


def test_an_empty_circuit_is_not_a_truth():
    graph = found()
    with pytest.raises(ValueError, match=r"must leave some edges out and have some; got Graph\(0"):
        auroc(graph, graph.keeping([]))
    with pytest.raises(ValueError, match=r"must have scores; got one without"):
        auroc(Graph.of(random_model()), graph.top(3))
