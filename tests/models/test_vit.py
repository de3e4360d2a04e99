"""A model as a PyTorch user handles one: dtypes, copies, pickles, modes, returned features."""

import copy
import json
import pickle

import pytest
import torch

from tests.laws._definition import defined
from tests.laws._models import assert_equal, build, configs, gap, images_for, law
from tests.laws.test_spans import THREE, keep
from tests.tiny import READOUTS, images_of, random_model
from vitreous._errors import UnknownNameError
from vitreous.models import HookedViT, HookedViTConfig, NormConfig, PoolingConfig

RICH = THREE.replace(
    ln_pre=NormConfig("rms", 1e-5), layer_scale=True, n_registers=1, distillation_token=True
)


@pytest.fixture
def model():
    return build(RICH)


IMAGES = images_for(RICH)


# ---- copies


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_a_copy_computes_the_same_and_shares_nothing(model, duplicate):
    other = duplicate(model)
    fired = []
    other.add_hook(("z", 1), lambda value, hook: fired.append(hook.name))
    assert torch.equal(other(IMAGES), model(IMAGES)) and len(fired) == 1
    with torch.no_grad():
        other.blocks[0].attn.W_Q.zero_()
    assert model.blocks[0].attn.W_Q.any() and not other.W_Q[0].any()
    _, cache = other.run_with_cache(IMAGES)
    assert cache["pattern", -1].shape == (2, 2, 9, 9)


def test_a_copy_keeps_hooks_that_can_be_copied(model):
    model.add_hook("hook_embed", keep, is_permanent=True)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        [hook] = other.hook_dict["hook_embed"].fwd_hooks
        assert hook.point is other.hook_dict["hook_embed"]
        other(IMAGES)
        assert hook.fired == 1


def test_a_state_dict_makes_an_equal_model(model):
    other = HookedViT(RICH).double().eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(IMAGES), model(IMAGES))


# ---- precision


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-4), ("float16", 0.1), ("bfloat16", 0.5)]
)
def test_lower_precision_runs_reads_and_derives(model, dtype, tolerance):
    dtype = getattr(torch, dtype)
    low, exact = copy.deepcopy(model).to(dtype), model.run_with_cache(IMAGES)[1]
    logits, cache = low.run_with_cache(IMAGES.to(dtype))
    assert logits.dtype == dtype
    for name in model.hook_names():
        assert cache[name].dtype == dtype, name
        assert (cache[name].double() - exact[name]).abs().mean() < tolerance, name
    low.run_with_hooks(IMAGES.to(dtype), fwd_hooks=[(low.hook_names(), lambda value, hook: value)])


def test_a_cache_of_an_autocast_run_can_be_read_outside_of_it(model):
    low, images = copy.deepcopy(model).float(), IMAGES.float()
    names = [name for name in model.hook_names() if "_input" not in name]
    with torch.autocast("cpu", torch.bfloat16):
        _, cache = low.run_with_cache(images)
        _, materialised = low.run_with_cache(images, names_filter=names)
    for name in names:
        assert cache[name].dtype == materialised[name].dtype, name
        assert torch.allclose(cache[name].float(), materialised[name].float(), atol=0.1), name
    stack = cache.get_full_resid_decomposition()
    assert torch.allclose(stack.sum(0).float(), cache["resid_post", -1].float(), atol=0.2)


def test_hooks_edit_under_autocast(model):
    low, images = copy.deepcopy(model).float(), IMAGES.float()
    with torch.autocast("cpu", torch.bfloat16):
        plain = low(images)
        doubled = low.run_with_hooks(images, fwd_hooks=[(("z", 1), lambda value, hook: value * 2)])
    assert doubled.dtype == plain.dtype and not torch.equal(doubled, plain)


def test_a_run_in_inference_mode_can_be_read_outside_of_it(model):
    with torch.inference_mode():
        logits, cache = model.run_with_cache(IMAGES)
    assert torch.equal(logits, model(IMAGES))
    for name, value in defined(model, IMAGES)[1].items():
        assert_equal(cache[name], value, name)
    assert_equal(cache.get_full_resid_decomposition().sum(0), cache["resid_post", -1])
    target = model.target(2)
    shares = cache.logit_attrs(cache.decompose_resid(incl_bias=True), target).sum((0, -1))
    assert_equal(shares + target.readout(cache).constant, target(logits))


def test_everything_works_inside_inference_mode(model):
    with torch.inference_mode():
        _, cache = model.run_with_cache(IMAGES, names_filter=["*.hook_pattern", "hook_embed"])
        shares = cache.logit_attrs(cache.decompose_resid(incl_bias=True), model.target(0))
    assert torch.isfinite(shares).all()


def test_a_model_made_in_inference_mode_runs_and_derives():
    with torch.inference_mode():
        made = HookedViT(RICH).double().eval()
        _, cache = made.run_with_cache(IMAGES)
        assert cache["pattern", 1].shape == (2, 2, 9, 9)


# ---- what is returned


@law(configs())
def test_pre_logits_are_what_the_head_reads(cfg):
    model, images = build(cfg), images_for(cfg)
    features = model(images, return_type="pre_logits")
    if cfg.n_classes is None:
        assert torch.equal(features, model(images))
    elif not model.pooling.reads_distillation:
        assert_equal(model.head.linear(features), model(images))
    else:
        both = model.read(model(images, stop_at_layer=cfg.n_layers))
        assert_equal(features, (both[0] + both[1]) / 2)


@law(configs())
def test_the_head_is_hooked_even_where_only_features_are_returned(cfg):
    model, images = build(cfg), images_for(cfg)
    fired = []
    hooks = [("hook_post_head_pre_normalize", lambda value, hook: fired.append(value))]
    features = model.run_with_hooks(images, fwd_hooks=hooks, return_type="pre_logits")
    assert torch.equal(features, model(images, return_type="pre_logits"))
    assert torch.equal(fired[0], model(images))


def test_training_goes_through_hooks(model):
    model.train()
    with model.hooks([(("mlp_out", 0), lambda value, hook: value * 0)]):
        model(IMAGES).sum().backward()
    assert not model.blocks[0].mlp.fc_out.weight.grad.any()
    assert model.blocks[1].mlp.fc_out.weight.grad.any()


def test_images_may_require_gradients(model):
    images = IMAGES.clone().requires_grad_()
    model.run_with_cache(images, incl_bwd=lambda logits: logits[:, 0])
    assert images.grad is None
    model(images).sum().backward()
    assert images.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("readout", READOUTS)
def test_every_part_runs_in_half_precision(readout, dtype):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    expected = model(images)
    model.to(dtype)
    logits, cache = model.run_with_cache(images.to(dtype), names_filter=model.hook_names())
    assert gap(logits.double(), expected) < 0.15
    assert {value.dtype for value in cache.values()} == {dtype}
    _, little = model.run_with_cache(images.to(dtype))
    for name in model.hook_names():
        assert little[name].dtype == dtype
        assert little[name].shape == cache[name].shape


# ---- configurations

MAP = {"n_heads": 1, "d_head": 3, "d_out": 8}


@law(configs())
def test_a_configuration_survives_json(cfg):
    assert HookedViTConfig.from_dict(json.loads(json.dumps(cfg.to_dict()))) == cfg


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image_size": (1, 9)}, r"`image_size` must have room for a patch of `patch_size`; got"),
        ({"attention": {"relative_bias": True}, "n_registers": 1}, "alone in front of the patches"),
        ({"attention": {"rotary": {}}, "d_head": 3}, "needs an even `d_head`; got 3"),
        ({"parallel": True, "d_mlp": None}, "A parallel block needs an MLP"),
        ({"pooling": {"kind": "map"}}, r"`PoolingConfig\.map` must be given for the kind 'map'"),
        (
            {"pooling": {"kind": "map", "map": MAP | {"norm": {}}}},
            r"`MapConfig\.norm` stands in front of an MLP",
        ),
        (
            {"pooling": {"kind": "map", "map": MAP | {"out_norm": {}, "d_mlp": 5}}},
            r"`MapConfig\.out_norm` stands where there is no MLP",
        ),
        ({"n_heads": 3}, r"`d_model` must divide by `n_heads`; got \(8, 3\)\. Pass `d_head`"),
        ({"cls_token": False}, r"`pooling\.kind='cls'` needs a class token"),
        (
            {"cls_token": False, "distillation_token": True, "pooling": PoolingConfig("mean")},
            "A distillation token needs a class token",
        ),
        ({"n_layers": 0}, "must be positive"),
        ({"n_registers": -1}, "must not be negative"),
        ({"d_mlp": 0}, "must be positive"),
        ({"d_model": 6, "d_head": 4, "position": "sincos"}, "must divide by 4 for sin-cos"),
    ],
)  # fmt: skip
def test_a_configuration_that_can_not_be_raises(changes, says):
    plain = {**THREE.to_dict(), "d_head": None, **changes}
    plain["pooling"] = changes.get("pooling", THREE.pooling)
    if changes.get("position"):
        plain["position"] = {"kind": "sincos", "prefix": True}
    with pytest.raises(ValueError, match=says):
        HookedViTConfig.from_dict(plain)


def test_an_unknown_field_raises_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'n_layer'\. Nearest: n_layers"):
        HookedViTConfig.from_dict({"n_layer": 3})
