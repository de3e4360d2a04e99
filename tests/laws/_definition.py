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
side); Zhai et al., "Scaling Vision Transformers", 2022 (attention pooling); Arnab et al., "ViViT",
2021, section 3.2 (tubelets); Bertasius et al., "Is Space-Time Attention All You Need for Video
Understanding?", 2021 (divided attention).

Every named value passes through `at(name, value)`, in forward order, which may replace it.
"""

import math
from collections.abc import Callable
from functools import partial

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
    return values_by(partial(Definition, model), images, edits)


def values_by(
    define: "Callable[[At], Definition]", inputs: Tensor, edits: dict[str, Tensor] | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same for any definition."""
    values: dict[str, Tensor] = {}

    def at(name: str, value: Tensor) -> Tensor:
        values[name] = value if edits is None else edits.get(name, value)
        return values[name]

    with torch.no_grad():
        return define(at).logits(inputs), values


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
        clips = images if self.cfg.n_frames > 1 else images[:, None]
        rows = [self.embedded_clip(clip) for clip in clips]
        return torch.stack(rows) if rows else images.new_zeros(0, 1, self.cfg.d_model)

    def embedded_clip(self, clip: Tensor) -> Tensor:
        """Frame after frame, or tubelet after tubelet."""
        if self.stem is not None:
            frames = [self.stem(frame[None])[0] for frame in clip]
            flat = [frame if frame.ndim == 2 else frame.flatten(1).T for frame in frames]
            return torch.cat(flat)
        size = self.cfg.tubelet
        tubelets = [clip[first : first + size] for first in range(0, len(clip), size)]
        # A tubelet's frames lie behind the channels, as in the weight.
        images = [each.transpose(0, 1) if size > 1 else each[0] for each in tubelets]
        return torch.cat([self.embedded_patches(image) for image in images])

    def embedded_patches(self, image: Tensor) -> Tensor:
        (height, width), weight = self.cfg.patch_size, self.weights["embedding.patch.weight"]
        bias = self.weights.get("embedding.patch.bias", torch.zeros(1, dtype=image.dtype))
        return torch.stack(
            [
                torch.stack([(image[..., r : r + height, c : c + width] * w).sum() for w in weight])
                + bias
                for r in range(0, image.shape[-2] - height + 1, height)
                for c in range(0, image.shape[-1] - width + 1, width)
            ]
        )

    def positions(self, n_tokens: int) -> Tensor:
        cfg = self.cfg
        if cfg.position.kind == "learned":
            known = self.weights["embedding.pos"]
        else:
            waves = [_waves(row, column, cfg.d_model) for row, column in _places(cfg)]
            known = torch.tensor(waves, dtype=torch.float64)
        if cfg.position.frames == "added":
            known = self.in_every_frame(known)
        zeros = known.new_zeros(n_tokens - len(known), cfg.d_model)
        return torch.cat([zeros, known])

    def in_every_frame(self, known: Tensor) -> Tensor:
        n_places = len(_places(self.cfg))
        prefix, places = known[: len(known) - n_places], known[len(known) - n_places :]
        frames = [places + frame for frame in self.weights["embedding.pos_time"][0]]
        return torch.cat([prefix, *frames])

    # ---- blocks

    def block(self, layer: int, resid: Tensor) -> Tensor:
        cfg, at = self.cfg, lambda name, value: self.at(f"blocks.{layer}.{name}", value)
        resid = at("hook_resid_pre", resid)
        if cfg.attention.space_time == "divided":
            resid = resid + at("hook_attn_time_out", self.attention(layer, resid, "_time")[0])
            resid = at("hook_resid_time", resid)
        attn_out, shared = self.attention(layer, resid)
        resid = resid + at("hook_attn_out", attn_out)
        if cfg.d_mlp is not None:
            if not cfg.parallel:
                resid = at("hook_resid_mid", resid)
                shared = self.norm(f"blocks.{layer}.ln2", cfg.norm, at("hook_mlp_in", resid))
            resid = resid + at("hook_mlp_out", self.mlp(layer, shared))
        return at("hook_resid_post", resid)

    def attention(self, layer: int, resid: Tensor, time: str = "") -> tuple[Tensor, Tensor]:
        """What attention adds, and the normalized stream that it has read."""
        cfg, block, norm = self.cfg, f"blocks.{layer}", "ln_time" if time else "ln1"
        attn = f"{block}.attn{time}"
        copies = torch.stack([resid] * cfg.n_heads, dim=2)
        attn_in = self.at(f"{block}.hook_attn{time}_in", copies)
        inputs = {each: self.at(f"{block}.hook_{each}{time}_input", attn_in) for each in "qkv"}
        shared = self.norm(f"{block}.{norm}", cfg.norm, resid)

        def own(x: Tensor) -> list[Tensor]:
            """Inputs normalized by themselves where they were replaced."""
            if x is copies:
                return [shared] * cfg.n_heads
            each = (x[:, :, head] for head in range(cfg.n_heads))
            return [self.norm(f"{block}.{norm}", cfg.norm, one, shown=False) for one in each]

        heads = {each: self.per_head(attn, each, own(x)) for each, x in inputs.items()}
        q, k, v = (self.at(f"{attn}.hook_{each}", heads[each]) for each in "qkv")
        if cfg.attention.qk_norm is not None:
            q = self.norm(f"{attn}.q_norm", cfg.attention.qk_norm, q)
            k = self.norm(f"{attn}.k_norm", cfg.attention.qk_norm, k)
        if cfg.attention.rotary is not None:
            q = self.at(f"{attn}.hook_rot_q", self.turned(layer, q))
            k = self.at(f"{attn}.hook_rot_k", self.turned(layer, k))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(cfg.d_head)
        scores = self.at(f"{attn}.hook_attn_scores", scores + self.score_bias(layer, scores, time))
        pattern = self.at(f"{attn}.hook_pattern", self.pattern(scores, time))
        z = self.at(f"{attn}.hook_z", torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        return self.written(attn, z), shared

    def pattern(self, scores: Tensor, time: str) -> Tensor:
        """Query by query; a prefix token looks into each frame by itself where space is divided."""
        if self.cfg.attention.space_time != "divided":
            return softmax(scores)
        frames = self.frames()
        rows = []
        for query, frame in enumerate(frames):
            row = scores[:, :, query]
            if time or frame is not None:
                seen = row.isfinite().any(-1, keepdim=True)
                rows.append(torch.where(seen, softmax(row.where(seen, 0)), 0))
                continue
            alone = []
            for each in sorted({f for f in frames if f is not None}):
                elsewhere = torch.tensor([f not in (None, each) for f in frames])
                alone.append(softmax(row.masked_fill(elsewhere, -math.inf)))
            rows.append(sum(alone) / len(alone))
        return torch.stack(rows, dim=2)

    def frames(self) -> list[int | None]:
        """The frame of each token; None in front of the patches."""
        cfg = self.cfg
        n_prefix = cfg.cls_token + cfg.distillation_token + cfg.n_registers
        frames = range(cfg.n_frames // cfg.tubelet)
        return [None] * n_prefix + [frame for frame in frames for _ in _places(cfg)]

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

    def score_bias(self, layer: int, scores: Tensor, time: str) -> Tensor:
        n_tokens, cfg = scores.shape[-1], self.cfg
        bias = scores.new_zeros(scores.shape[1:])
        if cfg.attention.relative_bias:
            bias = self.relative_bias(layer, n_tokens)
        if cfg.attention.causal:
            hidden = [[key > query for key in range(n_tokens)] for query in range(n_tokens)]
            bias = bias.masked_fill(torch.tensor(hidden), -math.inf)
        if cfg.attention.space_time == "divided":
            frames, places = self.frames(), [None] * scores.shape[-1]
            n_patches = len(_places(cfg)) * len(set(frames) - {None})
            for token in range(n_tokens - n_patches, n_tokens):
                places[token] = (token - n_tokens) % len(_places(cfg))
            for query in range(n_tokens):
                for key in range(n_tokens):
                    in_both = frames[query] is not None and frames[key] is not None
                    if time:
                        sees = in_both and places[query] == places[key]
                    else:
                        sees = not in_both or frames[query] == frames[key]
                    bias[:, query, key] = 0 if sees else -math.inf
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

    def per_head(self, attn: str, letter: str, inputs: list[Tensor]) -> Tensor:
        """Queries, keys or values of an attention."""
        cfg, heads = self.cfg, []
        for head, x in enumerate(inputs):
            start = ("qkv".index(letter) * cfg.n_heads + head) * cfg.d_head
            rows = slice(start, start + cfg.d_head)
            projected = x @ self.weights[f"{attn}.qkv.weight"][rows].T
            bias = self.weights.get(f"{attn}.qkv.bias")
            heads.append(projected if bias is None else projected + bias[rows])
        return torch.stack(heads, dim=2)

    def written(self, attn: str, z: Tensor) -> Tensor:
        """With norms around the output weight, a head's part is what is linear in its `z` alone."""
        cfg = self.cfg
        z_norm, out_norm = cfg.attention.z_norm, cfg.out_norm
        scales: dict[str, Tensor] = {}
        flat = self.norm(f"{attn}.z_norm", z_norm, z.flatten(2), scales=scales)
        written = self.linear(f"{attn}.out", flat) * self.gain(attn)
        if attn.endswith("_time"):  # no place in time, no bias
            for token, frame in enumerate(self.frames()):
                if frame is None:
                    alone = flat[:, token] @ self.weights[f"{attn}.out.weight"].T
                    written[:, token] = alone * self.gain(attn)
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
        if cfg.pooling.kind == "first":
            return [x[:, 0]]
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
