"""State dicts of every family, by their names alone, against the modules that they come from."""

import functools
import sys
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

import vitreous as vt
from tests import tiny
from tests.parity import timm_models
from tests.parity.test_open_clip import TOWERS, random_tower
from tests.parity.test_open_clip import random_images as tower_images
from tests.parity.test_prisma import (
    CONFIGS,
    HOOKED,
    first_config,
    first_weights,
    hooked_pass,
    hooked_weights,
    write,
)
from tests.parity.test_torchvision import MODULES
from tests.parity.test_transformers_files import OLD, is_renamed, renamed
from tests.parity.transformers_models import CASES, VIT, random_images, random_model, readout
from vitreous.models.adapters import _prisma_hooked

Sources = dict[str, tuple[str, dict[str, Any]]]


@torch.no_grad()
def apart(model: vt.HookedViT, images: Tensor, truth: Tensor) -> float:
    got = model(images)
    assert got is not None and got.shape == truth.shape
    assert model.placement.dtype == torch.float64 and not model.training
    return ((got - truth).abs().max() / truth.abs().max()).item()


def as_loaded(module: nn.Module) -> vt.HookedViTConfig:
    """What a module is made of, before LayerScale is folded."""
    ends = ("gamma", "gamma_1", "lambda1", "lambda_1")
    gains = any(name.endswith(ends) for name in module.state_dict())
    return vt.from_module(module, tower="image").cfg.replace(layer_scale=gains, n_classes=None)


# ---- our own


@pytest.mark.parametrize("case", tiny.READOUTS)
def test_a_model_comes_back_from_its_configuration_and_its_state(case):
    model = tiny.random_model(**tiny.READOUTS[case])
    again = vt.from_state_dict(model.cfg, model.state_dict())
    assert again.cfg == model.cfg and again.placement.dtype == torch.float64
    state = again.state_dict()
    assert all(torch.equal(x, state[name]) for name, x in model.state_dict().items())


@pytest.mark.parametrize("wrap", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_of_parallel_training_is_unwrapped(wrap):
    model = tiny.random_model()
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    again = vt.from_state_dict(model.cfg, {wrap: state, "epoch": 3})
    images = tiny.random_images()
    assert torch.equal(again(images), model(images))
    assert again.card["weight_hash"] and again.card["name"] == "a state dict"


@pytest.mark.parametrize("configured", [5, 1000, None])
def test_the_head_is_as_large_as_its_weight(configured):
    model = tiny.random_model()
    again = vt.from_state_dict(model.cfg.replace(n_classes=configured), model.state_dict())
    assert again.cfg.n_classes == 5
    assert torch.equal(again(tiny.random_images()), model(tiny.random_images()))


# ---- timm's names

SMALL = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 32, "num_classes": 5}
TIMM: Sources = {
    "plain": ("vit_tiny_patch16_224", {}),
    "distilled": ("deit_tiny_distilled_patch16_224", {}),
    "LayerScale, no class position": ("deit3_small_patch16_224", {}),
    "registers, norm behind": ("vit_betwixt_patch16_reg4_gap_256", {}),
    "attention pooling": ("vit_base_patch16_siglip_224", {"num_classes": 0}),
    "clip": ("vit_base_patch16_clip_224", {}),
    "norms inside": ("vit_tiny_patch16_224", {"qk_norm": True, "scale_attn_norm": True}),
    "a norm of patches": ("vit_tiny_patch16_224", {"embed_norm_layer": "layernorm"}),
    "relative bias": ("beit_base_patch16_224", {"use_shared_rel_pos_bias": True}),
    "gated": ("beit_base_patch16_224", {"swiglu_mlp": True, "scale_mlp": True}),
    "norms behind": ("vit_small_patch16_36x1_224", {"block_fn": "post"}),
    "queries apart": (
        "eva02_tiny_patch14_224",
        {"qkv_fused": False, "use_rot_pos_emb": False, "scale_mlp": True, "img_size": 28},
    ),
}


def timm_model(name: str, options: dict[str, Any]) -> Any:
    options = dict(options)
    if options.pop("block_fn", None):
        options["block_fn"] = timm.models.vision_transformer.ResPostBlock
    torch.manual_seed(0)
    return timm_models.randomized(timm.create_model(name, **SMALL | options).double().eval())


@pytest.mark.parametrize("case", TIMM)
def test_names_of_timm_are_read_without_timm(case, monkeypatch):
    source = timm_model(*TIMM[case])
    cfg, images = as_loaded(source), timm_models.random_images(source)
    with torch.no_grad():
        truth = source(images)
    monkeypatch.setitem(sys.modules, "timm", None)
    assert apart(vt.from_state_dict(cfg, source.state_dict()), images, truth) <= 1e-10


@pytest.mark.parametrize("n_classes", [3, 0])
def test_a_name_of_timm_takes_a_state_dict_and_its_head(n_classes):
    source = timm_models.randomized(timm.create_model("test_vit2", num_classes=n_classes or 1000))
    source = source.double().eval()
    model = vt.from_state_dict("timm:test_vit2", source.state_dict())
    images = timm_models.random_images(source)
    with torch.no_grad():
        assert apart(model, images, source(images)) <= 1e-10
    assert model.card["name"] == "timm:test_vit2" and model.preprocessing is not None


# ---- transformers' names, of version 4 and 5


def config_of(case: str) -> Any:
    kind, config, fields = CASES[case]
    return getattr(transformers, config)(**fields, architectures=[kind])


NO_TABLES = [case for case in CASES if not case.startswith("dinov3")]


@pytest.mark.parametrize("case", NO_TABLES)
def test_names_of_transformers_are_read_with_a_configuration_of_ours(case):
    module = random_model(case)
    images = random_images(module)
    model = vt.from_state_dict(as_loaded(module), module.state_dict())
    assert apart(model, images, readout(module, images)) <= 1e-10


@pytest.mark.parametrize("case", ["vit classifier", "dinov2 classifier", "dinov3, gated", "siglip"])
def test_a_configuration_of_transformers_takes_a_state_dict(case):
    module = random_model(case)
    images, config = random_images(module), module.config.to_dict()
    model = vt.from_state_dict(module.config, module.state_dict())
    assert apart(model, images, readout(module, images)) <= 1e-10
    assert module.config.to_dict() == config


@pytest.mark.parametrize("case", OLD)
def test_names_of_version_4_give_the_same_model(case):
    module = random_model(case)
    saved = {name: t for name, t in module.state_dict().items() if "text_model" not in name}
    old = renamed(saved, OLD[case])
    assert not set(old) & {name for name in saved if is_renamed(name, OLD[case])}
    images = random_images(module)
    assert apart(vt.from_state_dict(module.config, old), images, readout(module, images)) <= 1e-10


# ---- open_clip's, torchvision's, Prisma's


@pytest.mark.parametrize("case", TOWERS)
def test_names_of_open_clip_are_read(case):
    tower = random_tower(TOWERS[case])
    images = tower_images(tower)
    whole = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    one = torch.ones((), dtype=torch.float64)
    text = {"transformer.resblocks.0.ln_1.weight": one[None], "logit_scale": one}
    with torch.no_grad():
        truth = tower(images)
    truth = truth[0] if isinstance(truth, tuple) else truth
    cfg = as_loaded(tower).replace(head_bias=False)
    assert apart(vt.from_state_dict(cfg, whole | text), images, truth) <= 1e-10


@pytest.mark.parametrize("case", ["plain", "no head", "a head of its own"])
def test_names_of_torchvision_are_read(case):
    source = MODULES[case]()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        truth = source(images)
    assert apart(vt.from_state_dict(as_loaded(source), source.state_dict()), images, truth) <= 1e-10


@pytest.mark.parametrize("case", ["plain", "attention only", "mean of all tokens", "solu"])
def test_names_of_prisma_are_read(case):
    defaults = {
        "use_cls_token": True, "normalization_type": "LN", "layer_norm_pre": False,
        "attn_only": False, "activation_name": "gelu", "n_channels": 3,
        "classification_type": "cls",
    }  # fmt: skip
    about = defaults | HOOKED | CONFIGS[case]
    weights = hooked_weights(about)
    images = torch.randn(2, about["n_channels"], 32, 32, dtype=torch.float64)
    truth = hooked_pass(about, weights, images)["hook_post_head_pre_normalize"]
    cfg = _prisma_hooked.read_config(about, weights)
    assert apart(vt.from_state_dict(cfg, weights), images, truth) <= 1e-10


@pytest.mark.parametrize("attention_only", [False, True])
def test_a_folder_of_prisma_takes_weights_of_its_first_format(attention_only, tmp_path):
    weights = first_weights(attention_only, True)
    folder = write(tmp_path, first_config(attention_only), weights, "safetensors")
    loaded = vt.load(f"prisma:{folder}", dtype=torch.float64)
    model = vt.from_state_dict(f"prisma:{folder}", {k: x.double() for k, x in weights.items()})
    assert same(model, loaded)
    assert same(vt.from_state_dict(loaded.cfg, {k: x.double() for k, x in weights.items()}), loaded)


# ---- one family's configuration, another's names


def of_timm(tensors: dict[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """The weights of transformers' ViT or DINOv2 by the names of timm."""
    names = {
        "layernorm_before": "norm1", "layernorm_after": "norm2", "layernorm": "norm",
        "embeddings.cls_token": "cls_token", "embeddings.position_embeddings": "pos_embed",
        "embeddings.distillation_token": "dist_token", "attention.o_proj": "attn.proj",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "embeddings.register_tokens": "reg_token", "distillation_classifier": "head_dist",
        "cls_classifier": "head", "classifier": "head",
        "layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma",
        "encoder.layer.": "blocks.", "layers.": "blocks.",
    }  # fmt: skip
    moved: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for theirs, timms in names.items():
            name = name.removeprefix("vit.").removeprefix("deit.").replace(theirs, timms)
        moved[name] = tensor
    for layer in range(n_layers):
        for leaf in ("weight", "bias"):
            parts = [moved.pop(f"blocks.{layer}.attention.{x}_proj.{leaf}") for x in "qkv"]
            moved[f"blocks.{layer}.attn.qkv.{leaf}"] = torch.cat(parts)
    return {name: tensor for name, tensor in moved.items() if not name.endswith("mask_token")}


def same(first: vt.HookedViT, second: vt.HookedViT) -> bool:
    state = second.state_dict()
    assert first.state_dict().keys() == state.keys()
    return all(torch.equal(tensor, state[name]) for name, tensor in first.state_dict().items())


def test_deit_with_its_teacher_is_the_same_through_timm_and_through_transformers():
    module = random_model("deit with teacher")
    vit = timm.models.deit.VisionTransformerDistilled(
        32, 8, embed_dim=24, depth=2, num_heads=3, mlp_ratio=40 / 24, num_classes=5,
        norm_layer=functools.partial(nn.LayerNorm, eps=module.config.layer_norm_eps),
    ).double()  # fmt: skip
    vit.load_state_dict(of_timm(module.state_dict(), 2))
    ours, other = vt.from_module(module), vt.from_module(vit)
    assert ours.cfg == other.cfg.replace(position=ours.cfg.position)
    assert same(ours, other)


def test_dinov2_is_the_same_through_timm_and_through_transformers():
    module = random_model("dinov2")
    vit = timm.models.VisionTransformer(
        32, 8, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, num_classes=0, init_values=1.0
    ).double()
    vit.load_state_dict(of_timm(module.state_dict(), 2))
    ours, other = vt.from_module(module), vt.from_module(vit)
    assert ours.cfg == other.cfg.replace(position=ours.cfg.position, head_bias=False)
    assert same(ours, other)


def test_a_name_of_timm_takes_weights_by_the_names_of_transformers():
    config = transformers.ViTConfig(
        **VIT
        | {"hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 2}
        | {"intermediate_size": 192, "image_size": 160, "patch_size": 16, "num_labels": 4}
        | {"layer_norm_eps": 1e-6}
    )
    module = transformers.ViTForImageClassification(config).double().eval()
    images = torch.randn(1, 3, 160, 160, dtype=torch.float64)
    model = vt.from_state_dict("timm:test_vit", module.state_dict())
    assert apart(model, images, readout(module, images)) <= 1e-10
    timms = vt.from_state_dict(config, of_timm(module.state_dict(), 6))
    assert apart(timms, images, readout(module, images)) <= 1e-10
