"""The vision transformer, slowly: one head and one patch at a time, as the papers write it.

Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, equations 1-4; Vaswani et al.,
"Attention Is All You Need", 2017, section 3.2; Ba et al., "Layer Normalization", 2016; Zhang and
Sennrich, "Root Mean Square Layer Normalization", 2019; Touvron et al., "Going deeper with Image
Transformers", 2021 (LayerScale) and "Training data-efficient image transformers", 2021
(distillation token); Darcet et al., "Vision Transformers Need Registers", 2024.

Every named value passes through `at(name, value)`, in forward order, which may replace it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vitreous.models import HookedViT, HookedViTConfig, NormConfig

At = Callable[[str, Tensor], Tensor]


def untouched(name: str, value: Tensor) -> Tensor:
    del name
    return value


def defined(
    model: HookedViT, images: Tensor, edits: dict[str, Tensor] | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and every named value, by the definition; `edits` replaces values by name."""
    values: dict[str, Tensor] = {}

    def at(name: str, value: Tensor) -> Tensor:
        values[name] = value if edits is None else edits.get(name, value)
        return values[name]

    with torch.no_grad():
        return Definition(model, at).logits(images), values


class Definition:
    """Runs a model's weights through the definition."""

    def __init__(self, model: HookedViT, at: At = untouched) -> None:
        self.cfg: HookedViTConfig = model.cfg
        self.weights = dict(model.named_parameters())
        self.at = at

    def logits(self, images: Tensor) -> Tensor:
        resid = self.embedded(images)
        for layer in range(self.cfg.n_layers):
            resid = self.block(layer, resid)
        return self.at("hook_post_head_pre_normalize", self.read(resid))

    # ---- embedding

    def embedded(self, images: Tensor) -> Tensor:
        cfg = self.cfg
        prefix = [
            self.weights[f"embedding.{name}"][0]
            for name in ("cls_token", "distillation_token", "registers")
            if f"embedding.{name}" in self.weights
        ]
        rows = [torch.cat([*prefix, self.patches(image)]) for image in images]
        embed = torch.stack(rows) if rows else images.new_zeros(0, 1, cfg.d_model)
        full = self.at("hook_embed", embed)
        if cfg.position is not None:
            positions = torch.stack([self.positions(embed.shape[1])] * len(images))
            full = full + self.at("hook_pos_embed", positions)
        full = self.at("hook_full_embed", full)
        if cfg.ln_pre is None:
            return full
        return self.at("hook_ln_pre", self.norm("ln_pre", cfg.ln_pre, full))

    def patches(self, image: Tensor) -> Tensor:
        (height, width), weight = self.cfg.patch_size, self.weights["embedding.patch.weight"]
        bias = self.weights.get("embedding.patch.bias", torch.zeros(1, dtype=image.dtype))
        return torch.stack(
            [
                torch.stack([(image[:, r : r + height, c : c + width] * w).sum() for w in weight])
                + bias
                for r in range(0, image.shape[1], height)
                for c in range(0, image.shape[2], width)
            ]
        )

    def positions(self, n_tokens: int) -> Tensor:
        cfg = self.cfg
        if cfg.position.kind == "learned":
            known = self.weights["embedding.pos"]
        else:
            waves = [_waves(row, column, cfg.d_model) for row, column in _places(cfg)]
            known = torch.tensor(waves, dtype=torch.float64)
        zeros = known.new_zeros(n_tokens - len(known), cfg.d_model)
        return torch.cat([zeros, known])

    # ---- blocks

    def block(self, layer: int, resid: Tensor) -> Tensor:
        cfg, at = self.cfg, lambda name, value: self.at(f"blocks.{layer}.{name}", value)
        resid = at("hook_resid_pre", resid)
        resid = resid + at("hook_attn_out", self.attention(layer, resid))
        if cfg.d_mlp is not None:
            resid = at("hook_resid_mid", resid)
            read = self.norm(f"blocks.{layer}.ln2", cfg.norm, at("hook_mlp_in", resid))
            resid = resid + at("hook_mlp_out", self.mlp(layer, read))
        return at("hook_resid_post", resid)

    def attention(self, layer: int, resid: Tensor) -> Tensor:
        cfg, block = self.cfg, f"blocks.{layer}"
        copies = torch.stack([resid] * cfg.n_heads, dim=2)
        attn_in = self.at(f"{block}.hook_attn_in", copies)
        inputs = {each: self.at(f"{block}.hook_{each}_input", attn_in) for each in "qkv"}
        shared = self.norm(f"{block}.ln1", cfg.norm, resid)
        heads = {
            each: self.per_head(layer, each, x, None if x is not copies else shared)
            for each, x in inputs.items()
        }
        q, k, v = (self.at(f"{block}.attn.hook_{each}", heads[each]) for each in "qkv")
        if cfg.attention.qk_norm is not None:
            q = self.norm(f"{block}.attn.q_norm", cfg.attention.qk_norm, q)
            k = self.norm(f"{block}.attn.k_norm", cfg.attention.qk_norm, k)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(cfg.d_head)
        scores = self.at(f"{block}.attn.hook_attn_scores", scores)
        weights = torch.exp(scores - scores.max(-1, keepdim=True).values.detach())
        pattern = weights / weights.sum(-1, keepdim=True)
        pattern = self.at(f"{block}.attn.hook_pattern", pattern)
        z = self.at(f"{block}.attn.hook_z", torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        return self.written(layer, z)

    def per_head(self, layer: int, letter: str, own: Tensor, shared: Tensor | None) -> Tensor:
        """Queries, keys or values: of inputs normalized by themselves where they were replaced."""
        cfg, block = self.cfg, f"blocks.{layer}"
        heads = []
        for head in range(cfg.n_heads):
            x = shared
            if x is None:
                x = self.norm(f"{block}.ln1", cfg.norm, own[:, :, head], shown=False)
            start = ("qkv".index(letter) * cfg.n_heads + head) * cfg.d_head
            rows = slice(start, start + cfg.d_head)
            projected = x @ self.weights[f"{block}.attn.qkv.weight"][rows].T
            bias = self.weights.get(f"{block}.attn.qkv.bias")
            heads.append(projected if bias is None else projected + bias[rows])
        return torch.stack(heads, dim=2)

    def written(self, layer: int, z: Tensor) -> Tensor:
        cfg, attn = self.cfg, f"blocks.{layer}.attn"
        gain = self.weights.get(f"{attn}.gain", z.new_ones(cfg.d_model))
        results = []
        for head in range(cfg.n_heads):
            columns = slice(head * cfg.d_head, (head + 1) * cfg.d_head)
            weight = self.weights[f"{attn}.out.weight"][:, columns]
            results.append(z[:, :, head] @ weight.T * gain)
        result = self.at(f"{attn}.hook_result", torch.stack(results, dim=2))
        bias = self.weights.get(f"{attn}.out.bias", z.new_zeros(cfg.d_model))
        return result.sum(2) + bias * gain

    def mlp(self, layer: int, x: Tensor) -> Tensor:
        mlp = f"blocks.{layer}.mlp"
        pre = self.at(f"{mlp}.hook_pre", self.linear(f"{mlp}.fc_in", x))
        post = self.at(f"{mlp}.hook_post", ACTIVATIONS[self.cfg.act_name](pre))
        gain = self.weights.get(f"{mlp}.gain", x.new_ones(self.cfg.d_model))
        return self.linear(f"{mlp}.fc_out", post) * gain

    # ---- readout

    def read(self, resid: Tensor) -> Tensor:
        cfg, pooling = self.cfg, self.cfg.pooling
        if pooling.norm_first or pooling.kind == "none":
            pooled = self.pooled(self.last_norm(resid))
        else:
            pooled = self.pooled(resid)
            normed = self.last_norm(torch.stack(pooled, dim=1))
            pooled = [normed[:, i] for i in range(len(pooled))]
        if cfg.n_classes is None:
            outputs = pooled
        else:
            names = ("head.linear", "head.distillation")[: len(pooled)]
            outputs = [self.linear(name, x) for name, x in zip(names, pooled, strict=True)]
        return sum(outputs) / len(outputs)

    def last_norm(self, x: Tensor) -> Tensor:
        return self.at("hook_ln_final", self.norm("ln_final", self.cfg.pooling.norm, x))

    def pooled(self, x: Tensor) -> list[Tensor]:
        cfg = self.cfg
        n_prefix = cfg.cls_token + cfg.distillation_token + cfg.n_registers
        if cfg.pooling.kind == "none":
            return [x]
        if cfg.pooling.kind == "mean":
            patches = [x[:, token] for token in range(n_prefix, x.shape[1])]
            return [sum(patches) / len(patches)]
        return [x[:, 0], x[:, 1]] if cfg.distillation_token else [x[:, 0]]

    # ---- parts

    def linear(self, name: str, x: Tensor) -> Tensor:
        projected = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        return projected if bias is None else projected + bias

    def norm(self, name: str, cfg: NormConfig | None, x: Tensor, *, shown: bool = True) -> Tensor:
        if cfg is None:
            return x
        at = self.at if shown else untouched
        centered = x - x.mean(-1, keepdim=True) if cfg.kind == "layer" else x
        scale = torch.sqrt((centered**2).mean(-1, keepdim=True) + cfg.eps)
        normalized = centered / at(f"{name}.hook_scale", scale)
        gain, bias = self.weights.get(f"{name}.w"), self.weights.get(f"{name}.b")
        normalized = normalized if gain is None else normalized * gain
        normalized = normalized if bias is None else normalized + bias
        return at(f"{name}.hook_normalized", normalized)


def _solu(x: Tensor) -> Tensor:
    return x * torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "quick_gelu": lambda x: x / (1 + torch.exp(-1.702 * x)),
    "relu": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "solu": _solu,
}


def _places(cfg: HookedViTConfig) -> list[tuple[int, int]]:
    rows, columns = cfg.grid
    return [(row, column) for row in range(rows) for column in range(columns)]


def _waves(row: int, column: int, d_model: int) -> list[float]:
    """Chen et al., "An Empirical Study of Training Self-Supervised Vision Transformers", 2021."""
    rates = [10000 ** -(i / (d_model // 4)) for i in range(d_model // 4)]
    return [
        wave(place * rate)
        for place in (column, row)
        for wave in (math.sin, math.cos)
        for rate in rates
    ]
