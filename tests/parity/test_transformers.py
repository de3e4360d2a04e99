"""Equality with transformers under its fused attention, value by value."""

import pytest
from torch import Tensor

import vitreous as vt
from tests.parity.transformers_models import (
    CASES,
    random_images,
    random_model,
    seen_inside,
)

every_case = pytest.mark.parametrize("case", CASES)


def distance(got: Tensor, truth: Tensor) -> float:
    assert got.shape == truth.shape
    return ((got.detach().double() - truth.double()).abs().max() / truth.abs().max()).item()


def distances(model: vt.HookedViT, images: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    logits, cache = model.run_with_cache(images)
    apart = {name: distance(cache[name], value) for name, value in truth.items()}
    return apart | {"logits": distance(logits, truth["hook_post_head_pre_normalize"])}


def too_far(apart: dict[str, float]) -> dict[str, float]:
    return {name: far for name, far in apart.items() if not far <= 1e-10}


@every_case
def test_logits_and_all_values_inside_equal_transformers_in_float64(case):
    module = random_model(case)
    images = random_images(module)
    model = vt.from_module(module)
    assert too_far(distances(model, images, seen_inside(module, images))) == {}


@pytest.mark.parametrize(
    "case",
    ["vit classifier", "deit with teacher", "dinov2 classifier", "dinov3, gated", "beit", "clip"],
)
def test_the_identities_of_the_residual_stream_hold(case):
    assert vt.from_module(random_model(case)).check()


@every_case
def test_float32_is_no_further_from_the_truth_than_twice_transformers(case):
    module = random_model(case).float()
    images = random_images(module)
    theirs = seen_inside(module, images)
    model = vt.from_module(module)
    truth = seen_inside(module.double(), images.double())
    allowed = {name: 2 * distance(value, truth[name]) for name, value in theirs.items()}
    allowed["logits"] = allowed["hook_post_head_pre_normalize"]
    ours = distances(model, images, truth)
    assert {name: far for name, far in ours.items() if not far <= allowed[name]} == {}
