"""Equality with timm, value by value: all that a plain hook on the original can reach."""

from collections.abc import Callable

import pytest
import timm
import torch
from timm.layers import Attention
from torch import Tensor, nn

import vitreous as vt
from tests.parity.distances import distance, distances, too_far

SMALL = {"depth": 2, "embed_dim": 36, "num_heads": 3, "img_size": 64, "num_classes": 7}

# A name of timm's, and what is changed of it. Together they have every part that there is.
ARCHITECTURES = {
    "plain": ("vit_tiny_patch16_224", {}),
    "deit": ("deit_tiny_patch16_224", {}),
    "distilled": ("deit_tiny_distilled_patch16_224", {}),
    "distilled features": ("deit_tiny_distilled_patch16_224", {"num_classes": 0}),
    "deit-3": ("deit3_small_patch16_224", {}),
    "dino": ("vit_small_patch16_224.dino", {"num_classes": 0}),
    "dinov2 with registers": ("vit_small_patch14_reg4_dinov2", {"img_size": 56, "num_classes": 0}),
    "clip": ("vit_base_patch16_clip_224", {}),
    "clip, quick gelu": ("vit_base_patch32_clip_quickgelu_224", {}),
    "siglip, mean pooling": ("vit_base_patch16_siglip_gap_224", {}),
    "registers, mean, norm behind": ("vit_betwixt_patch16_reg4_gap_256", {}),
    "mae": ("vit_base_patch16_224.mae", {"global_pool": "avg"}),
    "mean before the norm": ("vit_tiny_patch16_224", {"global_pool": "avg", "fc_norm": False}),
    "class token, norm behind": ("vit_tiny_patch16_224", {"fc_norm": True}),
    "no pooling": ("vit_tiny_patch16_224", {"global_pool": ""}),
    "no pooling, norm behind": ("vit_tiny_patch16_224", {"global_pool": "", "fc_norm": True}),
    "prefix counted where none is": (
        "vit_base_patch16_siglip_gap_224",
        {"pool_include_prefix": True},
    ),
    "qk-norm, rms": ("vit_tiny_patch16_224", {"qk_norm": True, "norm_layer": "rmsnorm"}),
    "qk-norm, layer": ("vit_tiny_patch16_224", {"qk_norm": True}),
    "no biases": ("vit_tiny_patch16_224", {"qkv_bias": False, "proj_bias": False}),
    "relu": ("vit_tiny_patch16_224", {"act_layer": "relu"}),
    "silu": ("vit_tiny_patch16_224", {"act_layer": "silu"}),
    "gelu, tanh": ("vit_tiny_patch16_224", {"act_layer": "gelu_tanh"}),
    "LayerScale": ("vit_tiny_patch16_224", {"init_values": 0.1}),
    "not square": ("vit_tiny_patch16_224", {"img_size": (32, 48), "patch_size": (16, 8)}),
    "any image size": ("vit_tiny_patch16_224", {"img_size": (32, 48), "dynamic_img_size": True}),
    "no positions": ("vit_tiny_patch16_224", {"pos_embed": "none"}),
    "no norms outside": ("vit_tiny_patch16_224", {"final_norm": False}),
    "gray": ("vit_tiny_patch16_224", {"in_chans": 1}),
    "dropouts": (
        "vit_tiny_patch16_224",
        {"drop_rate": 0.5, "patch_drop_rate": 0.5, "proj_drop_rate": 0.5, "drop_path_rate": 0.5},
    ),
    "for export": ("vit_tiny_patch16_224", {"exportable": True, "act_layer": "swish"}),
    "for scripting": ("vit_tiny_patch16_224", {"scriptable": True, "act_layer": "gelu_tanh"}),
}

every_architecture = pytest.mark.parametrize(
    ("name", "changes"), ARCHITECTURES.values(), ids=ARCHITECTURES.keys()
)


def random_vit(name: str, changes: dict) -> nn.Module:
    """A small timm model in which every bias, norm, LayerScale and token is random."""
    torch.manual_seed(0)
    vit = timm.create_model(name, **(SMALL | changes)).double().eval()
    return randomize(vit)


@torch.no_grad()
def randomize(vit: nn.Module) -> nn.Module:
    for name, parameter in vit.named_parameters():
        parameter.normal_(std=0.3)
        if "norm" in name and name.endswith("weight"):
            parameter.add_(1)
    for part in vit.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False  # so that there is a pattern to hook
    return vit


def random_images(vit: nn.Module) -> Tensor:
    channels = vit.patch_embed.proj.in_channels
    return torch.randn(3, channels, *vit.patch_embed.img_size, dtype=torch.float64)


def seen_inside(vit: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """All values that plain hooks on the original reach, by our names and in our shapes."""
    seen: dict[str, Tensor] = {}
    handles = []

    def tap(part: nn.Module, end: str, *keep: tuple[str, Callable[[Tensor], Tensor]]) -> None:
        def note(_part: nn.Module, inputs: tuple, output: Tensor) -> None:
            for name, view in keep:
                seen[name] = view(inputs[0] if end == "input" else output).detach().clone()

        handles.append(part.register_forward_hook(note))

    tap(vit.norm_pre, "input", ("hook_full_embed", as_is))
    if not isinstance(vit.norm_pre, nn.Identity):
        tap(vit.norm_pre, "output", ("hook_ln_pre", as_is))
    for layer, block in enumerate(vit.blocks):
        tap_block(tap, block, f"blocks.{layer}.")
    if not isinstance(vit.fc_norm, nn.Identity) and vit.global_pool:
        tap(vit.fc_norm, "output", ("hook_ln_final", lambda x: x[:, None]))
    elif isinstance(vit.fc_norm, nn.Identity):
        tap(vit.norm, "output", ("hook_ln_final", as_is))
    with torch.no_grad():
        seen["hook_post_head_pre_normalize"] = vit(images)
    for handle in handles:
        handle.remove()
    return seen


def tap_block(tap: Callable, block: nn.Module, at: str) -> None:
    attn, mlp = block.attn, block.mlp

    def part_of_qkv(index: int) -> Callable[[Tensor], Tensor]:
        return lambda x: x.unflatten(-1, (3, attn.num_heads, attn.head_dim))[:, :, index]

    letters = enumerate("qkv")
    tap(block, "input", (f"{at}hook_resid_pre", as_is))
    tap(block.norm1, "output", (f"{at}ln1.hook_normalized", as_is))
    tap(attn.qkv, "output", *((f"{at}attn.hook_{x}", part_of_qkv(i)) for i, x in letters))
    for letter in "qk":
        norm = getattr(attn, f"{letter}_norm")
        if not isinstance(norm, nn.Identity):
            name = f"{at}attn.{letter}_norm.hook_normalized"
            tap(norm, "output", (name, lambda x: x.transpose(1, 2)))
    tap(attn.attn_drop, "input", (f"{at}attn.hook_pattern", as_is))
    per_head = (attn.num_heads, attn.head_dim)
    tap(attn.proj, "input", (f"{at}attn.hook_z", lambda x: x.unflatten(-1, per_head)))
    tap(block.drop_path1, "output", (f"{at}hook_attn_out", as_is))
    tap(block.norm2, "input", (f"{at}hook_resid_mid", as_is))
    tap(block.norm2, "output", (f"{at}ln2.hook_normalized", as_is))
    tap(mlp.fc1, "output", (f"{at}mlp.hook_pre", as_is))
    tap(mlp.act, "output", (f"{at}mlp.hook_post", as_is))
    tap(block.drop_path2, "output", (f"{at}hook_mlp_out", as_is))
    tap(block, "output", (f"{at}hook_resid_post", as_is))


def as_is(x: Tensor) -> Tensor:
    return x


@every_architecture
def test_logits_and_all_values_inside_equal_timm_in_float64(name, changes):
    vit = random_vit(name, changes)
    images = random_images(vit)
    assert too_far(distances(vt.from_module(vit), images, seen_inside(vit, images))) == {}


@every_architecture
def test_values_that_a_run_materializes_equal_timm_as_those_that_derive(name, changes):
    vit = random_vit(name, changes)
    images = random_images(vit)
    truth = seen_inside(vit, images)
    assert too_far(distances(vt.from_module(vit), images, truth, stored=[*truth])) == {}


def excess_over_twice_timm(name: str, changes: dict, dtype: torch.dtype) -> dict[str, float]:
    """How far values are from the float64 truth, where that is more than twice timm's error."""
    vit = random_vit(name, changes).to(dtype)  # rounds the weights, so that they are no error
    images = random_images(vit).to(dtype)
    theirs = seen_inside(vit, images)
    model = vt.from_module(vit)
    truth = seen_inside(vit.double(), images.double())
    allowed = {name: 2 * distance(value, truth[name]) for name, value in theirs.items()}
    allowed["output"] = allowed["hook_post_head_pre_normalize"]
    ours = distances(model, images, truth)
    return {name: far for name, far in ours.items() if not far <= allowed[name]}


@every_architecture
def test_float32_is_no_further_from_the_truth_than_twice_timm(name, changes):
    assert excess_over_twice_timm(name, changes, torch.float32) == {}


@pytest.mark.parametrize("name", ["LayerScale", "dinov2 with registers"])
def test_bfloat16_keeps_gains_apart_and_is_no_further_than_twice_timm(name):
    assert excess_over_twice_timm(*ARCHITECTURES[name], torch.bfloat16) == {}


def one_block(name: str) -> nn.Module:
    origin, changes = ARCHITECTURES[name]
    return random_vit(origin, changes | {"depth": 1})


@pytest.mark.parametrize("name", ["plain", "distilled", "dinov2 with registers", "qk-norm, layer"])
def test_a_change_of_any_one_weight_is_noticed(name):
    vit = one_block(name)
    images = random_images(vit)
    truth, model = seen_inside(vit, images), vt.from_module(vit)
    unnoticed = []
    for weight, parameter in model.named_parameters():
        value = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-6
            unnoticed += [] if too_far(distances(model, images, truth)) else [weight]
            parameter.copy_(value)
    assert unnoticed == []


def test_every_default_point_is_compared_but_those_that_timm_has_no_module_for():
    vit = random_vit(*ARCHITECTURES["plain"])
    images = random_images(vit)
    _, cache = vt.from_module(vit).run_with_cache(images)
    missed = {name.rsplit(".", 1)[-1] for name in set(cache) - set(seen_inside(vit, images))}
    assert missed == {
        "hook_embed",
        "hook_pos_embed",
        "hook_scale",
        "hook_attn_scores",
        "hook_normalized",  # of the last norm, the same as `hook_ln_final`
    }


def test_a_model_with_heads_of_another_width_converts():
    vit = random_vit(*ARCHITECTURES["plain"])
    for block in vit.blocks:
        block.attn = Attention(36, num_heads=3, attn_head_dim=8, qkv_bias=True)
    vit = randomize(vit.double().eval())
    images = random_images(vit)
    assert too_far(distances(vt.from_module(vit), images, seen_inside(vit, images))) == {}
