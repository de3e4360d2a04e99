"""Targets that name nothing, or more than a model can say."""

import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous._errors import HookError, UnknownNameError
from vitreous.data import ClassNames
from vitreous.models import PoolingConfig

MODEL = random_model()
MODEL.labels = ClassNames(("house cat", "dog", "wild cat", "fox, red fox", "eel"))


def metric(logits):
    return logits[:, 0]


# ---- making one


def test_an_unknown_class_gets_the_nearest():
    with pytest.raises(UnknownNameError, match=r"No class is named 'dgo'\. Nearest: dog\. Pass a"):
        MODEL.target("dgo")


def test_a_name_of_several_classes_gets_all_of_them():
    with pytest.raises(
        UnknownNameError, match=r"one class; got 2: 0 \(house cat\), 2 \(wild cat\)"
    ):
        MODEL.target("cat")


def test_a_name_needs_labels():
    with pytest.raises(
        ValueError, match=r"needs a model with `labels`; got 'dog' .* in 0\.\.4, or"
    ):
        random_model().target("dog")


@pytest.mark.parametrize("index", [5, -1, [0, 5], (0, 5), torch.tensor([7])])
def test_an_index_outside_of_the_outputs_raises(index):
    with pytest.raises(
        ValueError, match=r"A class must lie in 0\.\.4; got (5|-1|7)\. Pass indices"
    ):
        MODEL.target(index)


@pytest.mark.parametrize("what", [None, True, 1.5, {1}, b"dog", torch.eye(5)[0].bool()])
def test_other_types_are_told_what_a_target_is(what):
    with pytest.raises(TypeError, match=r"A target must be a class name, .*; got \w+\. Pass one"):
        MODEL.target(what)


@pytest.mark.parametrize("shape", [(), (4,), (0,), (1, 2, 5), (5, 1)])
def test_a_vector_of_another_shape_raises(shape):
    with pytest.raises(
        ValueError, match=r"one entry per output, 5; got shape \[.*\]\. Pass a comb"
    ):
        MODEL.target(torch.ones(shape))


@pytest.mark.parametrize(
    ("what", "minus", "message"),
    [
        ([], None, "A list of targets must have one per image; got an empty list"),
        ((), None, "A group of classes must have a member; got an empty tuple"),
        ([[0, 1], 2], None, "one per image; got a list within it. Pass a tuple for a group"),
        (torch.zeros(2, 2).long(), None, "one per image; got a list within it"),
        (([0, 1], [0, 1, 2]), None, "Lists of targets must have one per image; got 2 and 3. Make"),
        ([0, 1], [0, 1, 2], "Lists of targets must have one per image; got 2 and 3"),
        (metric, 0, "A function must be the whole target; got 'metric' beside another. Combine"),
        (0, metric, "A function must be the whole target; got 'metric' beside another"),
        ((0, metric), None, "A function must be the whole target; got 'metric' beside another"),
        (MODEL.target(metric), 0, "A function must be the whole target"),
        (random_model().target(0), None, "about the model that it is used with; got 'class 0' of"),
        (0, random_model().target(1), "about the model that it is used with; got 'class 1' of"),
    ],
)
def test_combinations_without_a_meaning_raise(what, minus, message):
    with pytest.raises(ValueError, match=message):
        MODEL.target(what, minus=minus)


# ---- using one


@pytest.mark.parametrize("shape", [(2, 7, 5), (5,), (2, 1), (2, 6)])
def test_a_metric_reads_one_output_per_image(shape):
    with pytest.raises(ValueError, match=r"one output per image, \[images, 5\]; got shape \["):
        MODEL.target(0)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda logits: logits.sum(), r"\[\]"),
        (lambda logits: logits, r"\[2, 5\]"),
        (lambda logits: 3.0, "float"),
    ],
)
def test_a_function_gives_one_number_per_image(function, got):
    with pytest.raises(ValueError, match=rf"one number per image, shape \[2\]; got {got}\. Reduce"):
        MODEL.target(function)(torch.zeros(2, 5))


def test_a_list_has_as_many_targets_as_there_are_images():
    target = MODEL.target([0, 1, 2])
    message = "one per image; got 3 for 2 images. Pass a tuple for a group of classes"
    with pytest.raises(ValueError, match=message):
        target(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=message):
        target.readout(MODEL.run_with_cache(random_images())[1])


def test_a_function_has_no_readout_and_no_direction():
    _, cache = MODEL.run_with_cache(random_images())
    for read in (
        lambda: MODEL.target(metric).readout(cache),
        lambda: MODEL.target(metric).direction,
    ):
        with pytest.raises(ValueError, match="linear in the output; got the function 'metric'"):
            read()


def test_several_vectors_are_no_direction():
    with pytest.raises(ValueError, match="one vector suffices; got one target per image"):
        _ = MODEL.target([0, 1]).direction
    with pytest.raises(ValueError, match="one vector suffices; got a model with two heads"):
        _ = random_model(distillation_token=True).target(0).direction


def test_tokens_that_are_not_pooled_have_no_readout():
    model = random_model(pooling=PoolingConfig("none"))
    _, cache = model.run_with_cache(random_images())
    with pytest.raises(
        ValueError, match="A readout needs one vector per image; got pooling 'none'"
    ):
        model.target(0).readout(cache)


def test_a_readout_of_a_run_of_another_model_raises():
    _, cache = random_model(seed=5).run_with_cache(random_images())
    with pytest.raises(
        ValueError, match="about the model that it is used with; got 'house cat' of"
    ):
        MODEL.target(0).readout(cache)


@pytest.mark.parametrize(
    "name", ["ln_final.hook_normalized", "hook_ln_final", "hook_post_head_pre_normalize"]
)
def test_a_readout_that_a_hook_replaced_is_not_linear_any_more(name):
    _, cache = MODEL.run_with_cache(random_images(), fwd_hooks=[(name, lambda x, hook: 2 * x)])
    with pytest.raises(HookError, match=f"linear in the last stream; a hook replaced `{name}` in"):
        MODEL.target(0).readout(cache)
