"""What models, caches, layouts and matrices say to input that they can't take."""

import functools
import json
import re

import numpy as np
import pytest
import torch

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE
from vitreous._errors import UnknownNameError
from vitreous.models import (
    AttentionConfig,
    FactoredMatrix,
    HookedViT,
    HookedViTConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    TokenLayout,
)

MODEL, IMAGES = build(THREE), images_for(THREE)
CACHE = MODEL.run_with_cache(IMAGES)[1]
LAYOUT = TokenLayout(1, 0, 0, (1, 2, 3), (4, 5))


def refusals():
    zeros = torch.zeros
    yield (
        "images of other channels",
        lambda: MODEL(zeros(1, 1, 4, 9)),
        ("`images` must be [images, 3 channels, rows, columns]; got shape [1, 1, 4, 9]."),
    )
    yield (
        "one image",
        lambda: MODEL(IMAGES[0]),
        "got shape [3, 4, 9]. Use `model.preprocess(image)`.",
    )
    yield (
        "images of another size",
        lambda: MODEL(zeros(1, 3, 6, 9)),
        ("Images must be 4 x 9 pixels for this model; got 6 x 9."),
    )
    yield "a list", lambda: MODEL([IMAGES]), "`images` must be [images, 3 channels, rows, columns]"
    yield (
        "integers",
        lambda: MODEL(IMAGES.to(torch.uint8)),
        ("`images` must be floating-point; got uint8. Use `model.preprocess(image)`."),
    )
    yield (
        "images where a stream belongs",
        lambda: MODEL(IMAGES, start_at_layer=1),
        ("the input must be a residual stream [batch, tokens, 8]; got shape [2, 3, 4, 9]."),
    )
    yield (
        "a layer behind the last",
        lambda: MODEL(IMAGES, stop_at_layer=4),
        ("`stop_at_layer` must lie in 0..3; got 4."),
    )
    yield (
        "a layer in front of the first",
        lambda: MODEL(IMAGES, stop_at_layer=-4),
        "in 0..3; got -4",
    )
    yield (
        "an empty stretch",
        lambda: MODEL(zeros(1, 7, 8), start_at_layer=2, stop_at_layer=1),
        ("`start_at_layer` must not lie behind `stop_at_layer`; got 2 and 1."),
    )
    for stop in (None, 1):
        yield (
            f"a return type, stop {stop}",
            (lambda stop=stop: MODEL(IMAGES, return_type="loss", stop_at_layer=stop)),
            "`return_type` must be 'logits', 'pre_logits' or None; got 'loss'.",
        )
    yield "no preprocessing", lambda: MODEL.preprocess("cat.png"), "`preprocess` needs to know how"
    yield "a layer of a stack", lambda: CACHE.decompose_resid(4), "`layer` must lie in 0..3; got 4."
    yield "a negative layer", lambda: CACHE.decompose_resid(-2), "`layer` must lie in 0..3; got -2."
    yield (
        "a mode",
        lambda: CACHE.decompose_resid(mode="heads"),
        ("`mode` must be 'all', 'attn' or 'mlp'; got 'heads'."),
    )
    yield (
        "an empty stack",
        lambda: CACHE.decompose_resid(0, incl_embeds=False),
        ("A stack must have a row; got layer 0 without embeddings."),
    )
    yield (
        "a layer of neurons",
        lambda: CACHE.get_neuron_results(3),
        "`layer` must lie in 0..2; got 3.",
    )
    yield (
        "what no mlp reads",
        lambda: CACHE.decompose_resid(mlp_input=True),
        ("`mlp_input` needs a block; got layer 3 of 3."),
    )
    attn_only = build(THREE.replace(d_mlp=None))
    _, no_mlp = attn_only.run_with_cache(IMAGES)
    yield (
        "neurons without MLPs",
        lambda: no_mlp.stack_neuron_results(),
        "needs MLPs; got an attention",
    )
    yield (
        "an input without MLPs",
        lambda: no_mlp.decompose_resid(1, mlp_input=True),
        ("`mlp_input` needs MLPs; got an attention-only model."),
    )
    yield (
        "factors that don't meet",
        lambda: FactoredMatrix(zeros(5, 2), zeros(3, 4)),
        ("The inner dimensions of `A` and `B` must agree; got 2 and 3."),
    )
    yield (
        "a vector as factor",
        lambda: FactoredMatrix(zeros(2), zeros(2, 4)),
        ("`A` and `B` must be matrices; got 1 and 2 dimensions."),
    )
    yield (
        "a kind of norm",
        lambda: NormConfig("batch"),
        ("`NormConfig.kind` must be one of layer, rms; got 'batch'. Choose one."),
    )
    yield "a kind of position", lambda: PositionConfig("rotary"), "must be one of learned, sincos"
    yield "a kind of pooling", lambda: PoolingConfig("max"), "one of cls, mean, cls_mean, map, none"
    yield "an activation", lambda: THREE.replace(act_name="tanh"), "`act_name` must be one of gelu,"
    yield from refused_configurations()
    yield "positions of nothing", lambda: LAYOUT.select(None), "`positions` must be a name (all, "
    yield "a name in a list", lambda: LAYOUT.select(["cls"]), "got 'cls'"


def refused_configurations():
    """Fields of a configuration with something that can't be there."""
    nan, plain = float("nan"), THREE.to_dict()
    whole = "must be one positive whole number, or rows and columns; got "
    for changes, expected in [
        ({"norm": "layer"}, "`norm` must be of type NormConfig or None; got 'layer'. Pass `Norm"),
        ({"attention": None}, "`attention` must be of type AttentionConfig; got None."),
        ({"position": "learned"}, "`position` must be of type PositionConfig or None; got 'lear"),
        ({"image_size": (3, 4, 9)}, f"`image_size` {whole}(3, 4, 9)."),
        ({"image_size": "224"}, f"`image_size` {whole}'224'."),
        ({"image_size": (4, nan)}, f"`image_size` {whole}(4, nan)."),
        ({"patch_size": 0}, f"`patch_size` {whole}0."),
        ({"patch_size": -2}, f"`patch_size` {whole}-2."),
        ({"n_layers": 1.5}, "`n_layers` must be a whole number; got 1.5."),
        ({"n_layers": None}, "`n_layers` must be a whole number; got None."),
        ({"d_mlp": True}, "`d_mlp` must be a whole number or None; got True."),
        ({"n_registers": -1}, "`n_registers` must not be negative; got -1."),
        ({"n_heads": 0}, "`d_model` must divide by `n_heads`; got (8, 0)."),
        ({"cls_token": 1}, "`HookedViTConfig.cls_token` must be True or False; got 1."),
        ({"act_name": ["gelu"]}, "`act_name` must be one of gelu, "),
    ]:
        yield (
            f"a configuration with {changes}",
            functools.partial(THREE.replace, **changes),
            expected,
        )
    for part, expected in [
        ({"eps": nan}, "`NormConfig.eps` must be a number from 0 on; got nan."),
        ({"eps": "small"}, "`NormConfig.eps` must be a number from 0 on; got 'small'."),
        ({"affine": None}, "`NormConfig.affine` must be True or False; got None."),
    ]:
        yield f"a norm with {part}", functools.partial(NormConfig, **part), expected
    yield "a norm of heads", lambda: AttentionConfig(qk_norm="rms"), "`AttentionConfig.qk_norm` mus"
    yield "a last norm", lambda: PoolingConfig(norm="rms"), "`PoolingConfig.norm` must be of type N"
    for changes, expected in [
        ({"norm": 3}, "`norm` must be of type NormConfig or None; got 3."),
        ({"pooling": {"norm": "rms"}}, "`PoolingConfig.norm` must be of type NormConfig or None;"),
        ({"image_size": [3, 4, 9]}, f"`image_size` {whole}[3, 4, 9]."),
    ]:
        read = functools.partial(HookedViTConfig.from_dict, plain | changes)
        yield f"a description with {changes}", read, expected
    yield "no description", lambda: HookedViTConfig.from_dict([]), "must be a dictionary; got []."
    yield "half of one", lambda: HookedViTConfig.from_dict({"n_layers": 1}), "must have `d_model`;"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": {"kind": "rms", "epsilon": 1}}, "No field of `norm` is named 'epsilon'. Nearest"),
        ({"pooling": {"norm": {"epss": 1}}}, "No field of `pooling.norm` is named 'epss'. Near"),
        ({"attention": {"bias": True}}, "No field of `attention` is named 'bias'. Nearest: qkv"),
        ({"d_modl": 8}, "No field of `HookedViTConfig` is named 'd_modl'. Nearest: d_model, "),
    ],
)  # fmt: skip
def test_an_unknown_field_of_a_description_is_named_with_the_nearest(changes, message):
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        HookedViTConfig.from_dict(THREE.to_dict() | changes)


def test_whole_numbers_of_any_kind_become_plain_ones():
    cfg = THREE.replace(n_layers=np.int64(3), n_registers=np.uint8(1), image_size=[np.int32(4), 9])
    assert json.loads(json.dumps(cfg.to_dict()))["n_layers"] == 3


def test_an_unknown_change_of_a_configuration_is_named_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"`HookedViTConfig` is named 'd_modl'\. Nearest: d_"
    ):
        THREE.replace(d_modl=8)


@pytest.mark.parametrize(
    ("action", "expected"), [pytest.param(*rest, id=name) for name, *rest in refusals()]
)
def test_one_line_says_what_must_hold_what_came_and_what_to_do(action, expected):
    with pytest.raises((ValueError, TypeError)) as raised:
        action()
    message = str(raised.value)
    assert expected in message
    assert "\n" not in message and message.endswith(".")


def test_an_ignored_keyword_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'return_typ'"):
        MODEL(IMAGES, return_typ="logits")
    with pytest.raises(TypeError, match="unexpected keyword argument 'name_filter'"):
        MODEL.run_with_cache(IMAGES, name_filter="hook_embed")
    with pytest.raises(TypeError, match="unexpected keyword argument 'layers'"):
        HookedViT(THREE, layers=3)
