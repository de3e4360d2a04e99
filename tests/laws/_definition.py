"""The vision transformer, slowly: one head and one patch at a time, as the papers write it.

Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, equations 1-4; Vaswani et al.,
"Attention Is All You Need", 2017, section 3.2; Ba et al., "Layer Normalization", 2016; Zhang and
Sennrich, "Root Mean Square Layer Normalization", 2019; Touvron et al., "Going deeper with Image
Transformers", 2021 (LayerScale) and "Training data-efficient image transformers", 2021
(distillation token); Darcet et al., "Vision Transformers Need Registers", 2024; Su et al.,
"RoFormer", 2021, equation 13 (rotary positions); Bao et al., "BEiT", 2022 (relative positions);
Shazeer, "GLU Variants Improve Transformer", 2020, equation 5 (gate); Fang et al., "EVA-02", 2023
(norms inside of attention and MLP); Liu et al., "Swin Transformer V2", 2022 (norms behind
outputs); Dehghani et al., "Scaling Vision Transformers to 22 Billion Parameters", 2023 (side by
side); Zhai et al., "Scaling Vision Transformers", 2022 (attention pooling).

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
        self.tables = dict(model.named_buffers())
        self.stem = model.embedding.patch if model.cfg.stem else None
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
        patches = self.patches(images)
        if cfg.patch_norm is not None:
            patches = self.at("embedding.hook_patches", patches)
            patches = self.norm("embedding.patch_norm", cfg.patch_norm, patches)
        rows = [torch.cat([*prefix, own]) for own in patches]
        embed = torch.stack(rows) if rows else images.new_zeros(0, 1, cfg.d_model)
        full = self.at("hook_embed", embed)
        if cfg.position is not None:
            positions = torch.stack([self.positions(embed.shape[1])] * len(images))
            full = full + self.at("hook_pos_embed", positions)
        full = self.at("hook_full_embed", full)
        if cfg.ln_pre is None:
            return full
        return self.at("hook_ln_pre", self.norm("ln_pre", cfg.ln_pre, full))

    def patches(self, images: Tensor) -> Tensor:
        if self.stem is None:
            rows = [self.embedded_patches(image) for image in images]
            return torch.stack(rows) if rows else images.new_zeros(0, 1, self.cfg.d_model)
        embedded = self.stem(images)
        return embedded if embedded.ndim == 3 else embedded.flatten(2).transpose(1, 2)

    def embedded_patches(self, image: Tensor) -> Tensor:
        (height, width), weight = self.cfg.patch_size, self.weights["embedding.patch.weight"]
        bias = self.weights.get("embedding.patch.bias", torch.zeros(1, dtype=image.dtype))
        return torch.stack(
            [
                torch.stack([(image[:, r : r + height, c : c + width] * w).sum() for w in weight])
                + bias
                for r in range(0, image.shape[1] - height + 1, height)
                for c in range(0, image.shape[2] - width + 1, width)
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
        attn_out, shared = self.attention(layer, resid)
        resid = resid + at("hook_attn_out", attn_out)
        if cfg.d_mlp is not None:
            if not cfg.parallel:
                resid = at("hook_resid_mid", resid)
                shared = self.norm(f"blocks.{layer}.ln2", cfg.norm, at("hook_mlp_in", resid))
            resid = resid + at("hook_mlp_out", self.mlp(layer, shared))
        return at("hook_resid_post", resid)

    def attention(self, layer: int, resid: Tensor) -> tuple[Tensor, Tensor]:
        """What attention adds, and the normalized stream that it has read."""
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
        if cfg.attention.rotary is not None:
            q = self.at(f"{block}.attn.hook_rot_q", self.turned(layer, q))
            k = self.at(f"{block}.attn.hook_rot_k", self.turned(layer, k))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(cfg.d_head)
        scores = scores + self.score_bias(layer, scores)
        scores = self.at(f"{block}.attn.hook_attn_scores", scores)
        pattern = self.at(f"{block}.attn.hook_pattern", softmax(scores))
        z = self.at(f"{block}.attn.hook_z", torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        return self.written(layer, z), shared

    def turned(self, layer: int, x: Tensor) -> Tensor:
        """Each pair of entries as a complex number, times a unit one."""
        cos, sin = (
            self.tables[f"rotary.{name}"].expand(self.cfg.n_layers, self.cfg.n_heads, -1, -1)[layer]
            for name in ("cos", "sin")
        )
        out = torch.empty_like(x)
        half = self.cfg.d_head // 2
        for i in range(half):
            a, b = (2 * i, 2 * i + 1) if self.cfg.attention.rotary.interleaved else (i, i + half)
            number = torch.complex(x[..., a], x[..., b])
            turned = number * torch.complex(cos[..., a].T, sin[..., a].T)
            out[..., a], out[..., b] = turned.real, turned.imag
        return out

    def score_bias(self, layer: int, scores: Tensor) -> Tensor:
        n_tokens, cfg = scores.shape[-1], self.cfg
        bias = scores.new_zeros(scores.shape[1:])
        if cfg.attention.relative_bias:
            bias = self.relative_bias(layer, n_tokens)
        if cfg.attention.causal:
            hidden = [[key > query for key in range(n_tokens)] for query in range(n_tokens)]
            bias = bias.masked_fill(torch.tensor(hidden), -math.inf)
        return bias

    def relative_bias(self, layer: int, n_tokens: int) -> Tensor:
        table = self.weights[f"blocks.{layer}.attn.relative_bias.table"]
        rows, columns = self.cfg.grid
        places = [None, *_places(self.cfg)]

        def of(query: int, key: int) -> Tensor:
            if query == key == 0:
                return table[-1]
            if key == 0:
                return table[-2]
            if query == 0:
                return table[-3]
            (r, c), (other_r, other_c) = places[query], places[key]
            down, right = r - other_r + rows - 1, c - other_c + columns - 1
            return table[down * (2 * columns - 1) + right]

        pairs = [[of(query, key) for key in range(n_tokens)] for query in range(n_tokens)]
        return torch.stack([torch.stack(row) for row in pairs]).permute(2, 0, 1)

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
        """With norms around the output weight, a head's part is what is linear in its `z` alone."""
        cfg, attn = self.cfg, f"blocks.{layer}.attn"
        z_norm, out_norm = cfg.attention.z_norm, cfg.out_norm
        scales: dict[str, Tensor] = {}
        flat = self.norm(f"{attn}.z_norm", z_norm, z.flatten(2), scales=scales)
        written = self.linear(f"{attn}.out", flat) * self.gain(attn)
        written = self.norm(f"{attn}.out_norm", out_norm, written, scales=scales)
        results = []
        for head in range(cfg.n_heads):
            alone = torch.zeros_like(z)
            alone[:, :, head] = z[:, :, head]
            part = self.norm_at(f"{attn}.z_norm", z_norm, alone.flatten(2), scales)
            part = part @ self.weights[f"{attn}.out.weight"].T * self.gain(attn)
            results.append(self.norm_at(f"{attn}.out_norm", out_norm, part, scales))
        results = torch.stack(results, dim=2)
        changed = self.at(f"{attn}.hook_result", results)
        return written + (changed - results).sum(2)

    def mlp(self, layer: int, x: Tensor) -> Tensor:
        cfg, mlp = self.cfg, f"blocks.{layer}.mlp"
        x = self.norm(f"{mlp}.in_norm", cfg.mlp_in_norm, x)
        post = ACTIVATIONS[cfg.act_name](self.at(f"{mlp}.hook_pre", self.linear(f"{mlp}.fc_in", x)))
        if cfg.mlp_gate:
            post = post * self.at(f"{mlp}.hook_pre_linear", self.linear(f"{mlp}.fc_linear", x))
        if cfg.mlp_gate or cfg.mlp_norm is not None:
            post = self.norm(f"{mlp}.norm", cfg.mlp_norm, self.at(f"{mlp}.hook_mid", post))
        post = self.at(f"{mlp}.hook_post", post)
        written = self.linear(f"{mlp}.fc_out", post) * self.gain(mlp)
        return self.norm(f"{mlp}.out_norm", cfg.out_norm, written)

    def gain(self, part: str) -> Tensor:
        return self.weights.get(f"{part}.gain", torch.ones(1, dtype=torch.float64))

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
        first = 0 if cfg.pooling.counts_prefix else n_prefix
        counted = [x[:, token] for token in range(first, x.shape[1])]
        if cfg.pooling.kind == "none":
            return [x]
        if cfg.pooling.kind == "map":
            return [self.map_pooled(x)]
        if cfg.pooling.kind == "mean":
            return [sum(counted) / len(counted)]
        if cfg.pooling.kind == "cls_mean":
            return [torch.cat([x[:, 0], sum(counted) / len(counted)], -1)]
        return [x[:, 0], x[:, 1]] if cfg.distillation_token else [x[:, 0]]

    def map_pooled(self, x: Tensor) -> Tensor:
        """A learned query attends to all tokens, or to patches."""
        parts, at = self.cfg.pooling.map, lambda name, value: self.at(f"pooling.map.{name}", value)
        query = torch.stack([self.weights["pooling.map.query"]] * len(x))
        q = at("hook_q", query[:, None])
        kv = self.linear("pooling.map.kv", x).unflatten(-1, (2, parts.n_heads, parts.d_head))
        k, v = at("hook_k", kv[:, :, 0]), at("hook_v", kv[:, :, 1])
        k = self.norm("pooling.map.k_norm", parts.k_norm, k)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(parts.d_head)
        if not self.cfg.pooling.counts_prefix:
            scores[..., : self.cfg.n_prefix] = -math.inf
        pattern = at("hook_pattern", softmax(at("hook_attn_scores", scores)))
        z = at("hook_z", torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        pooled = at("hook_attn_out", self.linear("pooling.map.out", z.flatten(2)))
        if parts.d_mlp is not None:
            read = self.norm("pooling.map.norm", parts.norm, pooled)
            pre = at("mlp.hook_pre", self.linear("pooling.map.mlp.fc_in", read))
            post = at("mlp.hook_post", ACTIVATIONS[parts.act_name](pre))
            pooled = pooled + at("hook_mlp_out", self.linear("pooling.map.mlp.fc_out", post))
        return at("hook_pooled", self.norm("pooling.map.out_norm", parts.out_norm, pooled))[:, 0]

    # ---- parts

    def linear(self, name: str, x: Tensor) -> Tensor:
        projected = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        return projected if bias is None else projected + bias

    def norm(
        self,
        name: str,
        cfg: NormConfig | None,
        x: Tensor,
        *,
        shown: bool = True,
        scales: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """A norm that may not be there; `scales` keeps what it divides by."""
        if cfg is None:
            return x
        at = self.at if shown else untouched
        centered = x - x.mean(-1, keepdim=True) if cfg.kind == "layer" else x
        scale = torch.sqrt((centered**2).mean(-1, keepdim=True) + cfg.eps)
        kept = {} if scales is None else scales
        kept[name] = at(f"{name}.hook_scale", scale)
        normalized = self.norm_at(name, cfg, x, kept)
        bias = self.weights.get(f"{name}.b")
        return at(f"{name}.hook_normalized", normalized if bias is None else normalized + bias)

    def norm_at(
        self, name: str, cfg: NormConfig | None, x: Tensor, scales: dict[str, Tensor]
    ) -> Tensor:
        """What is linear in a norm once its scale is held: no bias."""
        if cfg is None:
            return x
        centered = x - x.mean(-1, keepdim=True) if cfg.kind == "layer" else x
        gain = self.weights.get(f"{name}.w", torch.ones(1, dtype=torch.float64))
        return centered / scales[name] * gain


def softmax(scores: Tensor) -> Tensor:
    weights = torch.exp(scores - scores.max(-1, keepdim=True).values.detach())
    return weights / weights.sum(-1, keepdim=True)


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
