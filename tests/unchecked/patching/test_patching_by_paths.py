"""What can't be patched gets one line."""

import pytest
import torch

from tests.tiny import READOUTS, random_images, random_model
from vitreous import UnknownNameError, UnsupportedModelError
from vitreous.patching import attribution_patching, patch_edges, path_patching

MODEL = random_model()
CLEAN, CORRUPT = random_images(2), random_images(2, seed=7)
METHODS = {
    attribution_patching: {},
    path_patching: {"senders": "L0H1", "receivers": "logits"},
    patch_edges: {"edges": ["a0.h1->logits"]},
}


@pytest.mark.parametrize("method", METHODS)
def test_pairs_that_cannot_be_compared_raise(method):
    asked = METHODS[method]
    with pytest.raises(ValueError, match="`clean` and `corrupt` must have one shape; got"):
        method(MODEL, CLEAN, CORRUPT[..., :4], 0, **asked)
    with pytest.raises(
        ValueError, match=r"must differ between clean and corrupt; got .* on pair 0"
    ):
        method(MODEL, CLEAN, CLEAN, 0, **asked)
    with pytest.raises(ValueError, match="`direction` must be one of 'denoise', 'noise'; got 'up'"):
        method(MODEL, CLEAN, CORRUPT, 0, direction="up", **asked)
    with pytest.raises(ValueError, match="NaN or infinite"):
        method(MODEL, CLEAN, CORRUPT, lambda logits: logits[:, 0] / 0 * 0, **asked)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"over": "head"}, "`over` must be one of 'heads', .*'neurons'; got 'head'"),
        ({"gradient": "middle"}, "`gradient` must be one of 'clean', .*; got 'middle'"),
        ({"gradient": "integrated", "steps": 0}, "`steps` must be 1 or more; got 0"),
        ({"check": -1}, "`check` must be 0 or more; got -1"),
        ({"layers": [3]}, r"`layers` must name some in 0\.\.2; got \[3\]"),
        ({"layers": []}, r"`layers` must name some in 0\.\.2; got \[\]"),
    ],
)
def test_what_attribution_patching_cannot_do_raises(asked, says):
    with pytest.raises(ValueError, match=says):
        attribution_patching(MODEL, CLEAN, CORRUPT, 0, **asked)


def test_mlps_of_an_attention_only_model_raise():
    model = random_model(**READOUTS["attention only, RMSNorm"])
    with pytest.raises(ValueError, match="`over='mlps'` needs MLPs; got an attention-only model"):
        attribution_patching(model, CLEAN, CORRUPT, 0, over="mlps")


def test_a_metric_without_a_gradient_raises():
    with pytest.raises(ValueError, match="must be differentiable"):
        attribution_patching(MODEL, CLEAN, CORRUPT, lambda logits: logits.detach()[:, 0])


@pytest.mark.parametrize(
    ("senders", "receivers", "error", "says"),
    [
        ("L9H0", "logits", UnknownNameError, "No sender is named 'L9H0'. Nearest: a"),
        ("L0H1", "L1H7<q>", UnknownNameError, "No receiver is named 'L1H7<q>'. Nearest: a1.h"),
        ("L0H1", "a1.h2<z>", UnknownNameError, "No receiver is named 'a1.h2<z>'"),
        ("L1H0", "L1H2<q>", ValueError, "A receiver must come behind a sender; got 'a1.h2<q>'"),
        ("L2M", "L0M", ValueError, "A receiver must come behind a sender; got 'm0', which reads"),
        (["L0H0", "L2H0"], "L1M", ValueError, "A sender must come before a receiver; got 'a2.h0'"),
        ("L0H0", ["L1M", "logits"], ValueError, "'logits' must be the only receiver.* got m1"),
        ([], "logits", ValueError, "`senders` must name a component; got none"),
        ("L0H0", [], ValueError, "`receivers` must name a component; got none"),
    ],
)
def test_paths_that_are_not_there_raise(senders, receivers, error, says):
    with pytest.raises(error, match=says):
        path_patching(MODEL, CLEAN, CORRUPT, 0, senders=senders, receivers=receivers)


def test_what_cannot_be_frozen_raises():
    with pytest.raises(ValueError, match="`freeze` must be one of 'heads', 'mlps'; got 'norms'"):
        path_patching(MODEL, CLEAN, CORRUPT, 0, senders="L0H0", receivers="logits", freeze="norms")


@pytest.mark.parametrize(
    ("edge", "error", "says"),
    [
        ("a0.h9->logits", UnknownNameError, "No source of this graph is named 'a0.h9'"),
        ("a0.h1->m7", UnknownNameError, "No destination of this graph is named 'm7'"),
        ("m1->a1.h0<q>", ValueError, "An edge must lead from what is written to what reads it"),
        ("a0.h1", ValueError, "An edge must name two ends; got 'a0.h1'"),
        (("a0.h1", "logits", "sky"), UnknownNameError, "No group of this graph is named 'sky'"),
    ],
)
def test_edges_that_are_not_there_raise(edge, error, says):
    with pytest.raises(error, match=says):
        patch_edges(MODEL, CLEAN, CORRUPT, 0, edges=[edge])


def test_no_edge_raises():
    with pytest.raises(ValueError, match="`edges` must hold an edge; got none"):
        patch_edges(MODEL, CLEAN, CORRUPT, 0, edges=[])


@pytest.mark.parametrize(
    "readout", ["norms behind attention and MLP", "clips, attention over time and over space"]
)
def test_a_model_without_edges_raises(readout):
    model = random_model(**READOUTS[readout])
    with pytest.raises(UnsupportedModelError, match="A graph of edges needs heads and MLPs"):
        patch_edges(model, CLEAN, CORRUPT, 0, edges=["a0.h1->logits"])


def test_an_edge_without_its_group_raises():
    with pytest.raises(ValueError, match="An edge must name a source, a destination and a group"):
        patch_edges(
            MODEL, CLEAN, CORRUPT, 0, edges=["a0.h1->logits"], groups={"c": "cls", "p": "patches"}
        )


@pytest.mark.parametrize("method", METHODS)
def test_a_full_memory_says_which_batch_to_use(method, monkeypatch):
    def full(*args, **keywords):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(MODEL), "run_with_cache", full)
    with pytest.raises(MemoryError, match=r"got 2 images at once.* Use `max_batch=1`"):
        method(MODEL, CLEAN, CORRUPT, 0, **METHODS[method])
