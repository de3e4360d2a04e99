"""State dicts that are not those of a model: what is said of them."""

import pytest
import timm
import torch
import transformers
from torch import nn

import vitreous as vt
from tests import tiny
from tests.parity.transformers_models import CASES, random_model
from vitreous._errors import UnknownNameError, UnsupportedModelError, WeightsError


def message(expected: type[Exception], *arguments) -> str:
    with pytest.raises(expected) as error:
        vt.from_state_dict(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def model():
    return tiny.random_model()


def moved(state, old, new):
    return {name.replace(old, new): tensor for name, tensor in state.items()}


def test_a_wrong_name_gets_the_nearest(model):
    state = moved(model.state_dict(), "blocks.1.attn.qkv.weight", "blocks.1.attn.qvk.weight")
    assert message(WeightsError, model.cfg, state) == (
        "The tensors of the state dict must be those of the model; 1 missing, first "
        "`blocks.1.attn.qkv.weight` (nearest there: blocks.1.attn.qvk.weight) and 1 unknown, first "
        "`blocks.1.attn.qvk.weight`. Use the weights of this architecture."
    )


def test_a_few_missing_and_extra_names_are_listed(model):
    state = moved(model.state_dict(), "ln2", "norm_two") | {"teacher": torch.zeros(1).double()}
    text = message(WeightsError, model.cfg, state)
    assert "6 missing, first `blocks.0.ln2.b`" in text and "..." in text
    assert "7 unknown, first `blocks.0.norm_two.b`, `blocks.0.norm_two.w`" in text


def test_a_wrong_name_of_transformers_gets_the_nearest():
    module = random_model("vit classifier")
    state = moved(module.state_dict(), "layers.1.attention.q_proj.w", "layers.1.attention.q_porj.w")
    for cfg in (module.config, vt.from_module(module).cfg):
        text = message(WeightsError, cfg, state)
        assert "layers.1.attention.q_porj.weight" in text and "missing, first" in text
    assert "nearest there: vit.layers.1.attention.q_porj.weight" in message(
        WeightsError, module.config, state
    )


def test_a_wrong_name_of_timm_gets_the_nearest():
    source = timm.create_model("test_vit")
    state = moved(source.state_dict(), "blocks.3.attn.qkv.w", "blocks.3.attn.qvk.w")
    for cfg in ("timm:test_vit", vt.from_module(source).cfg):
        text = message(WeightsError, cfg, state)
        assert "(nearest there: blocks.3.attn.qvk.weight)" in text


def test_a_tensor_of_another_shape_is_named(model):
    state = model.state_dict() | {"embedding.pos": torch.zeros(9, 16, dtype=torch.float64)}
    text = message(WeightsError, model.cfg, state)
    assert "`embedding.pos` in the state dict must have shape [7, 16]; got [9, 16]" in text


def test_several_dtypes_are_refused(model):
    state = model.state_dict()
    state["ln_final.w"] = state["ln_final.w"].half()
    text = message(WeightsError, model.cfg, state)
    assert "`embedding.cls_token` in torch.float64 and `ln_final.w` in torch.float16" in text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "got 'dict'"),
        ({"a": 3}, "got 'a'"),
        ([1], "got 'list'"),
        (nn.Linear(1, 1), "got 'Linear'"),
        ({"a": torch.ones(1, dtype=torch.int8)}, "got none. Convert them"),
    ],
    ids=["nothing", "numbers", "a list", "a module", "integers"],
)
def test_what_is_no_state_dict_is_refused(content, problem, model):
    assert problem in message(WeightsError, model.cfg, content)


def test_names_that_nobody_knows_are_listed(model):
    weights = {"stem.0.weight": torch.zeros(3), "stem.0.bias": torch.zeros(3)}
    assert "2 unknown, first `stem.0.bias`, `stem.0.weight`" in message(
        WeightsError, model.cfg, weights
    )


def test_a_configuration_of_another_kind_is_refused(model):
    state = model.state_dict()
    assert "got dict. `vt.from_module` takes" in message(TypeError, {"n_layers": 3}, state)
    assert "Nearest: timm. Known: timm:NAME" in message(UnknownNameError, "tim:vit_tiny", state)
    assert "vit_tiny_patch16_224" in message(UnknownNameError, "timm:vit_tiny_patch16_2", state)
    swin = transformers.SwinConfig()
    text = message(UnsupportedModelError, swin, state)
    assert "got 'swin'. Use `vt.wrap(module)`" in text
    swin = "timm:swin_tiny_patch4_window7_224"
    assert "`vt.wrap(module)`" in message(UnsupportedModelError, swin, state)


def test_a_head_of_another_width_is_refused():
    module = random_model("dinov2 classifier")  # reads class token and mean side by side
    _, kind, fields = CASES["dinov2"]
    config = getattr(transformers, kind)(**fields, qkv_bias=False)
    state = vt.from_module(module).state_dict()
    assert "`head.linear.weight` in the state dict must have shape [5, 24]; got [5, 48]" in message(
        WeightsError, config, state
    )


def test_a_gated_mlp_in_one_piece_needs_its_name():
    source = timm.create_model(
        "eva02_tiny_patch14_224", depth=1, embed_dim=32, num_heads=2, img_size=28
    )
    cfg = vt.from_module(source).cfg
    text = message(WeightsError, cfg, source.state_dict())
    assert 'Pass `"timm:NAME"` as `cfg`' in text


def test_a_model_with_a_stem_is_refused():
    cfg = vt.HookedViTConfig(1, 8, 1, image_size=32, stem=True)
    state = {"embedding.cls_token": torch.zeros(1, 1, 8)}
    assert "got one with a stem" in message(ValueError, cfg, state)


def test_a_weight_that_others_are_put_together_with_is_named():
    source = timm.create_model(
        "vit_base_patch16_siglip_224", depth=1, embed_dim=32, num_heads=2, img_size=32
    )
    state = {name: x for name, x in source.state_dict().items() if name != "attn_pool.latent"}
    assert "'latent' is missing" in message(WeightsError, vt.from_module(source).cfg, state)
