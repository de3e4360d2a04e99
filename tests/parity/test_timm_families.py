"""Equality with timm for one name of every kind that its three families of transformers know."""

import copy
import functools
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from timm.layers import AttentionPoolLatent
from timm.models.vision_transformer import ParallelScalingBlock
from torch import Tensor, nn

import vitreous as vt
from tests.parity.timm_models import random_images, random_model, randomized, residuals

NAMES = [
    "aimv2_large_patch14_224",
    "beit3_base_patch16_224",
    "beit_base_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "eva02_base_patch16_clip_224",
    "eva02_enormous_patch14_clip_224",
    "eva02_tiny_patch14_224",
    "eva_giant_patch14_224",
    "flexivit_small",
    "test_vit3",
    "test_vit4",
    "vit_base_mci_224",
    "vit_base_patch16_rpn_224",
    "vit_base_patch16_sapiens2",
    "vit_base_patch32_siglip_256",
    "vit_giant_patch14_reg4_dinov2",
    "vit_huge_patch14_xp_224",
    "vit_intern300m_patch14_448",
    "vit_large_patch16_sapiens2",
    "vit_medium_patch16_rope_reg1_gap_256",
    "vit_pe_core_small_patch16_384",
    "vit_pe_lang_large_patch14_448",
    "vit_pe_spatial_tiny_patch16_512",
    "vit_pwee_patch16_reg1_gap_256",
    "vit_small_patch16_18x2_224",
    "vit_small_patch16_dinov3",
    "vit_small_patch16_dinov3_qkvb",
    "vit_small_patch16_lingbot",
    "vit_small_patch16_rope_224",
    "vit_small_patch16_rope_mixed_ape_224",
    "vit_small_plus_patch16_dinov3",
    "vit_so150m_patch16_reg4_map_256",
    "vit_so400m_patch14_siglip_384",
    "vit_tiny_r_s16_p8_224",
    "vitamin_small_224",
]

every_name = pytest.mark.parametrize("name", NAMES)


@functools.lru_cache
def source_of(name: str) -> Any:
    torch.manual_seed(0)
    return random_model(name, wider_than=64, n_heads=2)


def theirs(source: Any, images: Tensor) -> dict[str, Tensor]:
    return residuals(lambda: source(images), source.blocks)


def ours(model: vt.HookedViT, images: Tensor, names: list[str]) -> dict[str, Tensor]:
    points = [name for name in names if name != "logits"]
    with torch.no_grad():
        logits, cache = model.run_with_cache(images, names_filter=points)
    return {name: cache[name] for name in points} | {"logits": logits}


def distances(got: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    assert {name: value.shape for name, value in got.items()} == {
        name: value.shape for name, value in truth.items()
    }
    return {
        name: ((got[name].double() - value).abs().max() / value.abs().max()).item()
        for name, value in truth.items()
    }


def distance(source: Any, model: vt.HookedViT | None = None) -> float:
    """Of the furthest value, in float64."""
    images, model = random_images(source), vt.from_module(source) if model is None else model
    truth = theirs(source, images)
    return max(distances(ours(model, images, [*truth]), truth).values())


@every_name
def test_logits_and_the_stream_behind_every_block_equal_timm(name):
    assert distance(source_of(name)) <= 1e-10


@every_name
def test_float32_is_no_further_from_the_truth_than_twice_timm(name):
    source = copy.deepcopy(source_of(name)).float()  # rounds the weights, so they are no error
    images = random_images(source).float()
    model, rounded = vt.from_module(source), theirs(source, images)
    truth = theirs(source.double(), images.double())
    allowed = distances(rounded, truth)
    got = distances(ours(model, images, [*truth]), truth)
    assert {name: far for name, far in got.items() if not far <= 2 * allowed[name]} == {}


@every_name
def test_a_converted_model_keeps_the_identities_of_a_glass_one(name):
    report = vt.from_module(source_of(name)).check()
    assert report, report


# -- Options that no name has


def changed(name: str, change: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    source = timm.create_model(name, **options)
    change(source)
    return randomized(source.double().eval())


def pooled_by(**options: Any):
    def change(vit: Any) -> None:
        width = vit.embed_dim
        vit.attn_pool = AttentionPoolLatent(width, norm_layer=nn.LayerNorm, **options)

    return change


SMALL = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 32, "num_classes": 5}


@pytest.mark.parametrize(
    "options",
    [
        {"num_heads": 4, "qk_norm": True},
        {"num_heads": 2, "q_proj": False},
        {"num_heads": 2, "qkv_bias": False, "latent_dim": 12},
        {"num_heads": 2, "out_features": 32, "mlp_ratio": 1.5},
    ],
)
def test_attention_that_pools_equals_timm_in_its_options(options):
    vit = changed(
        "vit_base_patch16_siglip_224", pooled_by(**options), **SMALL | {"global_pool": "map"}
    )
    assert distance(vit) <= 1e-10


def as_one_output(vit: Any) -> None:
    for layer in range(2):
        block = ParallelScalingBlock(32, 2, qk_norm=True, init_values=0.3, fuse_out_proj=True)
        vit.blocks[layer] = block


def test_side_by_side_blocks_with_one_output_weight_equal_timm():
    vit = changed("vit_tiny_patch16_224", as_one_output, **SMALL)
    assert distance(vit) <= 1e-10


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", {"global_pool": "avg", "pool_include_prefix": True}),
        ("vit_tiny_patch16_224", {"embed_norm_layer": "layernorm"}),
        ("vit_tiny_patch16_224", {"scale_attn_norm": True, "scale_mlp_norm": True}),
        ("vit_small_patch16_18x2_224", {"init_values": 0.3, "proj_bias": False}),
        ("beit_base_patch16_224", {"use_shared_rel_pos_bias": True, "use_abs_pos_emb": True}),
        ("beit_base_patch16_224", {"use_shared_rel_pos_bias": True, "use_rel_pos_bias": False}),
        ("beit_base_patch16_224", {"swiglu_mlp": True, "scale_mlp": True, "global_pool": "token"}),
        ("eva02_tiny_patch14_224", {"qkv_fused": False, "scale_attn_inner": True, "img_size": 28}),
        ("eva02_tiny_patch14_224", {"global_pool": "", "num_reg_tokens": 2, "img_size": 28}),
        ("vit_small_patch16_rope_224", {"rope_rotate_half": True, "no_embed_class": True}),
        ("vit_small_patch16_rope_224", {"dynamic_img_size": True, "qk_norm": True}),
        ("vit_small_patch16_rope_224", {"rope_type": "mrope", "rope_grid_indexing": "ij"}),
    ],
)
def test_options_that_no_name_combines_equal_timm(name, options):
    assert distance(changed(name, lambda _: None, **SMALL | options)) <= 1e-10


def test_a_model_in_training_is_read_as_it_is_in_evaluation():
    source = source_of("vit_small_patch16_dinov3")
    source.rope.aug_active, source.rope.shift_coords = True, 0.5
    model = vt.from_module(source.train())
    assert distance(source.eval(), model) <= 1e-10


def test_a_stem_is_kept_as_it_is_and_is_a_copy():
    source = source_of("vit_tiny_r_s16_p8_224")
    model = vt.from_module(source)
    with torch.no_grad():
        for parameter in model.embedding.patch.parameters():
            parameter.zero_()
    assert distance(source) <= 1e-10


# -- Another image size, by name


@pytest.mark.parametrize("name", ["test_vit", "eva02_tiny_patch14_224"])
def test_positions_for_another_image_size_are_those_that_timm_resamples(name, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(randomized(timm.create_model(name)).state_dict(), path)
    size = (4 * 16, 6 * 16) if name == "test_vit" else (4 * 14, 6 * 14)
    file = {"file": str(path)}
    source = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=file, img_size=size)
    model = vt.load(f"timm:{name}", weights=path, image_size=size, dtype=torch.float64)
    assert model.cfg.image_size == size and model.preprocessing.image_size == size
    assert distance(source.double().eval(), model) <= 1e-10


def test_weights_of_the_asked_for_size_are_taken_as_they_are(tmp_path):
    torch.manual_seed(0)
    source = randomized(timm.create_model("test_vit", img_size=64))
    safetensors.torch.save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = vt.load("timm:test_vit", weights=tmp_path / "w.safetensors", image_size=64)
    assert torch.equal(model.embedding.pos, source.pos_embed[0])
