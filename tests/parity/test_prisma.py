"""Prisma's checkpoints against the published forward pass, written down once more."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

import vitreous as vt
from tests.parity.distances import distance, too_far

HOOKED = {
    "n_layers": 2, "d_model": 24, "d_head": 10, "d_mlp": 40, "n_heads": 3, "patch_size": 8,
    "image_size": 32, "n_classes": 5, "eps": 1e-4, "return_type": "class_logits",
    "model_name": "custom", "use_wandb": False,
}  # fmt: skip

CONFIGS = {
    "plain": {},
    "features": {"return_type": "pre_logits"},
    "norm in front of the blocks": {"layer_norm_pre": True, "activation_name": "quick_gelu"},
    "attention only": {"attn_only": True},
    "no norms": {"normalization_type": None, "activation_name": "relu"},
    "folded norms": {"normalization_type": "LNPre", "activation_name": "gelu_new"},
    "mean of all tokens": {"classification_type": "gaap", "activation_name": "gelu_fast"},
    "no class token": {"use_cls_token": False, "classification_type": "gaap"},
    "solu": {"activation_name": "solu_ln", "n_channels": 1},
    "solu, folded": {"activation_name": "solu_ln", "normalization_type": "LNPre"},
    "silu": {"activation_name": "silu"},
}


def hooked_weights(cfg: dict) -> dict[str, Tensor]:
    """Random tensors by Prisma's names, in its shapes."""
    heads, width, inner, neurons = cfg["n_heads"], cfg["d_model"], cfg["d_head"], cfg["d_mlp"]
    tokens = (cfg["image_size"] // cfg["patch_size"]) ** 2 + cfg["use_cls_token"]
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "embed.proj.weight": (width, cfg["n_channels"], cfg["patch_size"], cfg["patch_size"]),
        "embed.proj.bias": (width,),
        "pos_embed.W_pos": (tokens, width),
        "head.W_H": (width, cfg["n_classes"]),
        "head.b_H": (cfg["n_classes"],),
    }
    affine = cfg["normalization_type"] == "LN"
    norms = {"ln_final": width} | ({"ln_pre": width} if cfg["layer_norm_pre"] else {})
    for layer in range(cfg["n_layers"]):
        at = f"blocks.{layer}."
        shapes |= {f"{at}attn.W_{x}": (heads, width, inner) for x in "QKV"}
        shapes |= {f"{at}attn.b_{x}": (heads, inner) for x in "QKV"}
        shapes |= {f"{at}attn.W_O": (heads, inner, width), f"{at}attn.b_O": (width,)}
        norms[f"{at}ln1"] = width
        if not cfg["attn_only"]:
            shapes |= {f"{at}mlp.W_in": (width, neurons), f"{at}mlp.b_in": (neurons,)}
            shapes |= {f"{at}mlp.W_out": (neurons, width), f"{at}mlp.b_out": (width,)}
            norms[f"{at}ln2"] = width
            norms |= {f"{at}mlp.ln": neurons} if cfg["activation_name"] == "solu_ln" else {}
    if affine:
        shapes |= {f"{name}.{leaf}": (size,) for name, size in norms.items() for leaf in "wb"}
    torch.manual_seed(0)
    return {name: torch.randn(shape).double() / 3 for name, shape in shapes.items()}


ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_fast": lambda x: 0.5 * x * (1 + (x * 0.7978845608 * (1 + 0.044715 * x * x)).tanh()),
    "quick_gelu": lambda x: x * (1.702 * x).sigmoid(),
    "relu": functional.relu,
    "silu": functional.silu,
    "solu_ln": lambda x: x * x.softmax(-1),
}


def hooked_pass(cfg: dict, w: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """Prisma's forward pass, head by head."""
    seen: dict[str, Tensor] = {}

    def norm(x: Tensor, name: str) -> Tensor:
        if cfg["normalization_type"] is None:
            return x
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + cfg["eps"]).sqrt()
        return x * w[f"{name}.w"] + w[f"{name}.b"] if f"{name}.w" in w else x

    def attention(x: Tensor, at: str) -> Tensor:
        out = w[f"{at}b_O"]
        for head in range(cfg["n_heads"]):
            q, k, v = (x @ w[f"{at}W_{n}"][head] + w[f"{at}b_{n}"][head] for n in "QKV")
            pattern = (q @ k.mT / cfg["d_head"] ** 0.5).softmax(-1)
            out = out + pattern @ v @ w[f"{at}W_O"][head]
        return out

    def mlp(x: Tensor, at: str) -> Tensor:
        post = ACTIVATIONS[cfg["activation_name"]](x @ w[f"{at}W_in"] + w[f"{at}b_in"])
        post = norm(post, f"{at}ln") if cfg["activation_name"] == "solu_ln" else post
        return post @ w[f"{at}W_out"] + w[f"{at}b_out"]

    patches = functional.conv2d(
        images, w["embed.proj.weight"], w["embed.proj.bias"], stride=cfg["patch_size"]
    )
    x = patches.flatten(2).mT
    if cfg["use_cls_token"]:
        x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + w["pos_embed.W_pos"]
    x = norm(x, "ln_pre") if cfg["layer_norm_pre"] else x
    for layer in range(cfg["n_layers"]):
        at = f"blocks.{layer}."
        x = x + attention(norm(x, f"{at}ln1"), f"{at}attn.")
        x = x if cfg["attn_only"] else x + mlp(norm(x, f"{at}ln2"), f"{at}mlp.")
        seen[f"{at}hook_resid_post"] = x
    x = norm(x, "ln_final")
    x = x[:, 0] if cfg["classification_type"] == "cls" else x.mean(1)
    logits = x if cfg["return_type"] == "pre_logits" else x @ w["head.W_H"] + w["head.b_H"]
    return seen | {"hook_post_head_pre_normalize": logits}


def write(folder: Path, about: dict, tensors: dict[str, Tensor], form: str) -> Path:
    (folder / "config.json").write_text(json.dumps(about))
    if form == "safetensors":
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
    else:  # as its trainer saves
        run = {"model_state_dict": tensors, "optimizer_state_dict": {"state": {}}, "epoch": 3}
        torch.save(run, folder / "model_128.pth")
    return folder


def far_apart(folder: Path, images: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    model = vt.load(f"prisma:{folder}", dtype=torch.float64)
    logits, cache = model.run_with_cache(images)
    apart = {name: distance(cache[name], value) for name, value in truth.items()}
    apart["logits"] = distance(logits, truth["hook_post_head_pre_normalize"])
    return too_far(apart)


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_hooked_vit_of_prisma_is_equal(changes, tmp_path):
    defaults = {
        "use_cls_token": True, "normalization_type": "LN", "layer_norm_pre": False,
        "attn_only": False, "classification_type": "cls", "activation_name": "gelu",
        "n_channels": 3,
    }  # fmt: skip
    cfg = defaults | HOOKED | changes
    tensors = hooked_weights(cfg)
    folder = write(tmp_path, HOOKED | changes, tensors, "safetensors")
    images = torch.randn(2, cfg["n_channels"], 32, 32, dtype=torch.float64)
    assert far_apart(folder, images, hooked_pass(cfg, tensors, images)) == {}


def test_all_identities_hold_in_a_model_of_prisma(tmp_path):
    cfg = HOOKED | {
        "use_cls_token": True, "normalization_type": "LN", "layer_norm_pre": True,
        "attn_only": False, "activation_name": "solu_ln", "n_channels": 3,
    }  # fmt: skip
    folder = write(tmp_path, cfg, hooked_weights(cfg), "pth")
    assert vt.load(f"prisma:{folder}", dtype=torch.float64).check()


# ---- the first format, in which the tiny ViTs were published


def first_weights(attention_only: bool, cls: bool, width: int = 24) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "position_embedding": (1, 16 + cls, width),
        "patch_embedding.proj.weight": (width, 3, 8, 8),
        "head.weight": (5, width),
        "head.bias": (5,),
    }
    shapes |= {"cls_token": (1, 1, width)} if cls else {}
    for layer in range(2):
        at = f"blocks.{layer}."
        shapes |= {f"{at}attention.qkv.weight": (3 * width, width)}
        shapes |= {
            f"{at}attention.proj.weight": (width, width),
            f"{at}attention.proj.bias": (width,),
        }
        if not attention_only:
            shapes |= {f"{at}mlp.fc1.weight": (40, width), f"{at}mlp.fc1.bias": (40,)}
            shapes |= {f"{at}mlp.fc2.weight": (width, 40), f"{at}mlp.fc2.bias": (width,)}
    torch.manual_seed(0)
    return {name: torch.randn(shape).double() / 3 for name, shape in shapes.items()}


def first_pass(w: dict[str, Tensor], images: Tensor, n_heads: int = 3) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    x = functional.conv2d(images, w["patch_embedding.proj.weight"], stride=8).flatten(2).mT
    if "cls_token" in w:
        x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + w["position_embedding"]
    for layer in range(2):
        at = f"blocks.{layer}."
        qkv = (x @ w[f"{at}attention.qkv.weight"].T).unflatten(-1, (3, n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        z = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(-1) @ v
        out = z.transpose(1, 2).flatten(2) @ w[f"{at}attention.proj.weight"].T
        x = x + out + w[f"{at}attention.proj.bias"]
        if f"{at}mlp.fc1.weight" in w:
            pre = x @ w[f"{at}mlp.fc1.weight"].T + w[f"{at}mlp.fc1.bias"]
            x = x + functional.gelu(pre) @ w[f"{at}mlp.fc2.weight"].T + w[f"{at}mlp.fc2.bias"]
        seen[f"{at}hook_resid_post"] = x
    x = x[:, 0] if "cls_token" in w else x.mean(1)
    return seen | {"hook_post_head_pre_normalize": x @ w["head.weight"].T + w["head.bias"]}


def first_config(attention_only: bool, **norms) -> dict:
    return {
        "image": {"image_size": 32, "patch_size": 8, "n_channels": 3},
        "transformer": {
            "hidden_dim": 24, "num_heads": 3, "num_layers": 2, "mlp_dim": 40,
            "activation_name": "GELU", "attention_only": attention_only, "attn_hidden_layer": True,
        },
        "layernorm": {"qknorm": False, "layer_norm_eps": 0.0} | norms,
        "classification": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "prefix", "attention_only", "cls"),
    [
        ("safetensors", "", False, True),
        ("safetensors", "module.", True, True),
        ("pth", "module.", False, False),
        ("pth", "", True, False),
    ],
)
def test_a_tiny_vit_of_the_first_format_is_equal(form, prefix, attention_only, cls, tmp_path):
    tensors = first_weights(attention_only, cls)
    named = {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
    folder = write(tmp_path, first_config(attention_only), named, form)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    assert far_apart(folder, images, first_pass(tensors, images)) == {}
