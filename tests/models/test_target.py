"""What is being explained, in all its spellings."""

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import assert_equal, build, images_for, law, pooled_configs, random_like
from tests.laws.test_spans import THREE
from vitreous._errors import HookError, UnknownNameError
from vitreous.data import ClassNames
from vitreous.models import HookedViT, NormConfig, PoolingConfig

NAMES = ClassNames(("cat", "dog", "a bear", "b bear"))


@pytest.fixture
def model():
    named = build(THREE)
    named.labels = NAMES
    return named


LOGITS = random_like(torch.empty(3, 4, dtype=torch.float64))
VECTOR = torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("what", "minus", "value", "name"),
    [
        ("cat", None, LOGITS[:, 0], "cat"),
        ("cat", "dog", LOGITS[:, 0] - LOGITS[:, 1], "cat - dog"),
        (3, None, LOGITS[:, 3], "b bear"),
        (torch.tensor(1), 0, LOGITS[:, 1] - LOGITS[:, 0], "dog - cat"),
        (("a bear", 3), None, LOGITS[:, 2:].mean(1), "mean(a bear + b bear)"),
        (0, (1, 2, 3), LOGITS[:, 0] - LOGITS[:, 1:].mean(1), "cat - mean(dog + a bear + b bear)"),
        (["dog", "cat", 3], None, LOGITS[[0, 1, 2], [1, 0, 3]], "[dog, cat, b bear]"),
        (torch.tensor([1, 0, 3]), None, LOGITS[[0, 1, 2], [1, 0, 3]], "[dog, cat, b bear]"),
        ([0, 1, 2], 3, LOGITS[[0, 1, 2], [0, 1, 2]] - LOGITS[:, 3], "[cat, dog, a bear] - b bear"),
        ([0, (1, 2), 3], None, torch.stack([LOGITS[0, 0], LOGITS[1, 1:3].mean(), LOGITS[2, 3]]),
         "[cat, mean(dog + a bear), b bear]"),
        (VECTOR, None, LOGITS @ VECTOR, "vector"),
        (torch.eye(4)[[2, 1, 0]], None, LOGITS[[0, 1, 2], [2, 1, 0]], "vector"),
        (([0, 1, 2], 3), None, (LOGITS[[0, 1, 2], [0, 1, 2]] + LOGITS[:, 3]) / 2,
         "mean([cat, dog, a bear] + b bear)"),
    ],
)  # fmt: skip
def test_a_target_is_this_number_per_image(model, what, minus, value, name):
    target = model.target(what, minus)
    assert_equal(target(LOGITS), value)
    assert target.name == name


def test_a_function_is_a_metric(model):
    def entropy(logits):
        return -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)

    target = model.target(entropy)
    assert target.name == "entropy"
    assert_equal(target(LOGITS), entropy(LOGITS))
    assert model.target(lambda x: x[:, 0], name="mine").name == "mine"


def test_the_name_can_be_chosen(model):
    assert model.target(0, 1, name="felines").name == "felines"


def test_a_target_for_features_counts_features():
    features = build(THREE.replace(n_classes=None))
    images = images_for(THREE)
    assert_equal(features.target(7)(features(images)), features(images)[:, 7])


@pytest.mark.parametrize(
    ("what", "minus", "error", "says"),
    [
        ("cow", None, UnknownNameError, "'cow'"),
        ("bear", None, UnknownNameError, "a bear"),
        (4, None, ValueError, r"A class must lie in 0\.\.3; got 4"),
        (-1, None, ValueError, r"A class must lie in 0\.\.3; got -1"),
        (True, None, TypeError, "A target must be a class name.* got bool"),
        (1.5, None, TypeError, "got float"),
        (None, None, TypeError, "got NoneType"),
        ((), None, ValueError, "A group of classes must have a member"),
        ([], None, ValueError, "got an empty list"),
        ([[0, 1], [2, 3]], None, ValueError, "got a list within it. Pass a tuple for a group"),
        (torch.ones(3), None, ValueError, r"one entry per output, 4; got shape \[3\]"),
        (torch.tensor(1.0), None, ValueError, r"one entry per output, 4; got shape \[\]"),
        (torch.ones(1, 2, 4), None, ValueError, "one entry per output"),
        (lambda x: x, 3, ValueError, "A function must be the whole target"),
        ([0, 1], [0, 1, 2], ValueError, "one per image; got 2 and 3"),
    ],
)  # fmt: skip
def test_what_is_no_target_raises(model, what, minus, error, says):
    with pytest.raises(error, match=says):
        model.target(what, minus)


def test_a_class_name_needs_labels():
    with pytest.raises(ValueError, match=r"needs a model with `labels`; got 'cat'.* 0\.\.3"):
        build(THREE).target("cat")


def test_a_list_must_be_as_long_as_the_batch(model):
    _, cache = model.run_with_cache(images_for(THREE, 2))
    target = model.target([0, 1, 2])
    for use in (lambda: target(LOGITS[:2]), lambda: target.readout(cache)):
        with pytest.raises(ValueError, match="one per image; got 3 for 2 images"):
            use()


def test_a_metric_returns_one_number_per_image(model):
    for function in (lambda x: x, lambda x: x.sum(), lambda x: 3.0):
        with pytest.raises(ValueError, match=r"must return one number per image, shape \[3\]; got"):
            model.target(function)(LOGITS)


# ---- as a reading of the stream


@law(pooled_configs(), st.booleans())
def test_a_readout_reads_the_target_off_the_last_stream(cfg, per_image):
    model, images = build(cfg), images_for(cfg, 3)
    logits, cache = model.run_with_cache(images)
    vector = random_like(logits if per_image else logits[:1])
    target = model.target(vector)
    readout = target.readout(cache)
    read = (readout.weights * cache["resid_post", -1]).sum((1, 2)) + readout.constant
    assert_equal(read, target(logits))
    unread = [i for i in range(cache.layout.n_tokens) if i not in cache.layout.select("readout")]
    assert not readout.weights[:, unread].any()


@law(pooled_configs())
def test_a_direction_is_the_readout_at_scale_one(cfg):
    model, images = build(cfg), images_for(cfg)
    lacking = {"map": "a model that pools by attention", "cls_mean": "a head that reads two"}
    lacking |= {"cls": "a model with two heads"} if cfg.distillation_token else {}
    if cfg.pooling.kind in lacking:
        with pytest.raises(ValueError, match=f"got {lacking[cfg.pooling.kind]}"):
            _ = model.target(0).direction
        return
    logits, cache = model.run_with_cache(images)
    target = model.target(random_like(logits[0]))
    scale = cache["scale",] if cfg.pooling.norm else torch.ones(1, 1, 1, dtype=torch.float64)
    tokens = cache.layout.select("readout")
    expected = target.direction / len(tokens) / (scale[:, tokens] if scale.shape[1] > 1 else scale)
    assert_equal(target.readout(cache).weights[:, tokens], expected.expand(2, len(tokens), -1))


def test_directions_that_do_not_exist_raise_and_name_the_way_out(model):
    with pytest.raises(ValueError, match=r"got one target per image\. Use `target\.readout"):
        _ = model.target([0, 1]).direction
    with pytest.raises(ValueError, match="linear in the output; got the function 'metric'"):
        _ = model.target(lambda x: x[:, 0], name="metric").direction


def test_readouts_that_do_not_exist_raise(model):
    _, cache = model.run_with_cache(images_for(THREE))
    with pytest.raises(ValueError, match="linear in the output; got the function"):
        model.target(lambda x: x[:, 0]).readout(cache)
    unpooled = build(THREE.replace(pooling=PoolingConfig("none")))
    _, cache = unpooled.run_with_cache(images_for(THREE))
    with pytest.raises(ValueError, match="needs one vector per image; got pooling 'none'"):
        unpooled.target(1).readout(cache)


@pytest.mark.parametrize(
    "name", ["ln_final.hook_normalized", "hook_ln_final", "hook_post_head_pre_normalize"]
)
def test_a_readout_behind_an_edit_of_the_readout_raises(model, name):
    edit = [(name, lambda value, hook: value * 2)]
    _, cache = model.run_with_cache(images_for(THREE), fwd_hooks=edit)
    with pytest.raises(HookError, match=f"a hook replaced `{name}` in this run"):
        model.target(0).readout(cache)


def test_a_readout_is_of_the_model_that_ran(model):
    other = build(THREE, seed=8)
    _, cache = other.run_with_cache(images_for(THREE))
    with pytest.raises(ValueError, match="must be about the model that it is used with"):
        model.target(0).readout(cache)
    rows = cache.decompose_resid()
    with pytest.raises(ValueError, match="must be about the model that it is used with"):
        cache.logit_attrs(rows, model.target(0))


def test_rows_about_a_head_of_their_own_need_the_tokens_that_it_reads():
    two_heads = THREE.replace(
        distillation_token=True, pooling=PoolingConfig("cls", NormConfig(), norm_first=False)
    )
    _, cache = build(two_heads).run_with_cache(images_for(two_heads))
    cache.decompose_resid(apply_ln=True, positions="readout")
    for positions in ([3, 4], [1, 0], "all", "cls"):
        with pytest.raises(ValueError, match="Pooling comes before the final norm here"):
            cache.decompose_resid(apply_ln=True, positions=positions)


def test_labels_of_another_count_are_refused():
    short = HookedViT(THREE, labels=ClassNames(("cat", "dog")))
    with pytest.raises(ValueError, match="got 2 names for 4 outputs"):
        short.target("cat")
