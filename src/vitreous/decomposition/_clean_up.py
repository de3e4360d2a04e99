"""What later components take back of what earlier ones wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.decomposition._choices import must_be_one_of
from vitreous.decomposition._runs import OUTPUT, Model, Pixels, Run, asked, runs
from vitreous.models import (
    AttentionNames,
    Norm,
    StreamRows,
    Target,
    TransformerCache,
    as_numbers,
    require_finite,
)

By = Literal["layer", "head"]

_ATTENTIONS = ("attn", "attn_time")
_NAMES: dict[str, tuple[str, ...]] = {
    "layer": ("hook_attn_out", "hook_attn_time_out", "hook_mlp_out"),
    "head": (
        "hook_mlp_out",
        *(f"{attn}.{name}" for attn in _ATTENTIONS
          for name in ("hook_z", "z_norm.hook_scale", "out_norm.hook_scale")),
    ),
}  # fmt: skip
# Numbers in the writes of all components that are held at once.
_HELD = 2**25
# The most removers that a sentence names.
_NAMED = 2


def clean_up(
    model: Model,
    images: Pixels,
    target: Target | Any,
    *,
    by: By = "head",
    cache: TransformerCache | None = None,
) -> xarray.Dataset:
    """Compares each component's write with what later components do along it.

    A direct share counts what a component wrote, not what is left of it: a later component that
    writes the opposite takes it back, as a model does to make room in its stream, and then the two
    shares cancel and neither says anything of the model's reasons. Here every write at the tokens
    that the readout reads is projected on every earlier one. Writes are centered where the final
    norm takes the mean off. What cancels at other tokens, or only after pooling, isn't seen, and a
    later write may point against an earlier one for reasons of its own: an ablation of the two
    tells.

    Args:
        model: Any `HookedViT` that pools, a `HookedCLIP` or a zero-shot classifier of one.
        images: Preprocessed images, or a data set, which is streamed.
        target: From `model.target(...)`, or what that takes.
        by: `"head"` compares heads and MLPs, `"layer"` attentions and MLPs.
        cache: A run on these images to read instead of running the model.

    Returns:
        With dimensions `image, component`, so that `.mean("image")` and `.std("image")` tell the
        average and its spread:
        `kept`, the fraction of a write that is left along its own direction in the last stream, 1
        where later components leave it alone, 0 where they erase it, above 1 where they add to it;
        `cosine` between a write and all that later components write, together;
        `norm_ratio`, the length of that over the length of the write;
        `share`, the direct share, and `undone`, the part of it that later components take back,
        `(1 - kept) * share`, both in units of the output (logits).
        `removed_by[component, remover]` is the fraction of a component's write that each later one
        takes back, over all images by the squared length of the write. Coordinates `kind, layer,
        head` are those of shares. A component that writes nothing has kept 1 and cosine 0.

    Raises:
        ValueError: A target that isn't linear in the output, or an unknown `by`.
        HookError: A run in which hooks replaced the stream.

    References:
        Dao, Lau, Rager and Janiak, "An Adversarial Example for Direct Logit Attribution: Memory
        Management in GELU-4L", 2023, sections 3 and 4 (projection ratios, clean-up heads). Departs
        from it: all components are compared with all later ones, at the tokens that are read.
    """
    must_be_one_of("by", by, get_args(By))
    target = asked(model, target)
    found: list[_Found] = []
    with torch.no_grad():
        for run in runs(model, images, target, _NAMES[by], cache=cache):
            require_finite(run.cache.at(OUTPUT), OUTPUT)
            with run.cache.as_in_the_run():
                found.append(_compared(run, by))
    return _as_dataset(found, target.name, by)


def misleading_shares(
    result: xarray.Dataset,
    *,
    least_undone: float = 0.5,
    least_share: float = 0.02,
    least_deviations: float = 3,
) -> list[str]:
    """A sentence for each component whose direct share misleads, the largest share first.

    A component is named if, averaged over images, later ones take back at least `least_undone` of
    its write, if its share is at least `least_share` of the sum of all shares' magnitudes, and if
    later writes point against it by more than chance: a cosine of at most `-least_deviations /
    sqrt(d_model)`, in standard deviations of that between random directions.

    Args:
        result: From `clean_up`.
        least_undone: Of a write; a fraction.
        least_share: Of all shares; a fraction.
        least_deviations: Of the cosine. Where later components write much more than this one, they
            take back a large part of it by chance alone; lower it to see such components too.
    """
    average = result.mean("image")
    size = abs(result["share"]).mean("image")
    floor = -least_deviations / result.attrs["d_model"] ** 0.5
    is_misleading = (
        (1 - average["kept"] >= least_undone)
        & (size >= least_share * size.sum())
        & (average["cosine"] <= floor)
        & ~result["kind"].str.endswith("bias")
    )
    order = np.argsort(-size.values, kind="stable")
    return [_sentence(result, int(i)) for i in order if is_misleading.values[i]]


def overlaps(
    writes: Float[Tensor, "batch components positions d_model"],
) -> Float[Tensor, "batch components components"]:
    """Inner products of what components wrote, over all positions together."""
    flat = writes.flatten(2)
    return flat @ flat.transpose(1, 2)


def against_later(
    overlap: Float[Tensor, "batch components components"],
    is_later: Bool[Tensor, "components components"],
) -> tuple[Float[Tensor, "batch components"], Float[Tensor, "batch components"]]:
    """Of each write with the sum of all later ones: inner product, and squared length of the sum.

    Args:
        overlap: Inner products of writes.
        is_later: Whether the component of the column writes after that of the row.
    """
    later = is_later.to(overlap)
    inner = (overlap * later).sum(2)
    squared = torch.einsum("cd,bde,ce->bc", later, overlap, later)
    return inner, squared.clamp(min=0)


@dataclass(frozen=True)
class _Component:
    label: str
    kind: str
    layer: int
    head: int
    step: int  # a component sees what was written at smaller ones


@dataclass(frozen=True)
class _Found:
    """What one batch says."""

    components: list[_Component]
    d_model: int
    overlap: Float[Tensor, "batch components components"]
    share: Float[Tensor, "batch components"]

    @property
    def is_later(self) -> Bool[Tensor, "components components"]:
        steps: Int[Tensor, " components"] = torch.tensor([each.step for each in self.components])
        return (steps[None] > steps[:, None]).to(self.overlap.device)


class _Writes:
    """What the components of one run wrote at some tokens."""

    def __init__(self, cache: TransformerCache, tokens: list[int], by: By) -> None:
        self.cache, self.tokens, self.by = cache, tokens, by
        self.rows = StreamRows(cache, tokens)

    def __iter__(self) -> Iterator[tuple[_Component, Float[Tensor, "batch positions d_model"]]]:
        for label, written in self.rows.embeddings().items():
            yield _Component(label, label, -1, -1, -1), written
        yield _Component("bias", "bias", -1, -1, -1), self.rows.bias()
        n_parts, cfg = len(self.rows.attentions) + 1, self.cache.model.cfg
        for layer in range(cfg.n_layers):
            step = layer * n_parts
            for place, names in enumerate(self.rows.attentions):
                yield from self.attention(layer, names, step + place)
            if not cfg.attn_only:
                # Side by side with attention, an MLP sees nothing of it.
                step += n_parts - 1 - cfg.parallel
                component = _Component(f"L{layer}M", "mlp", layer, -1, step)
                yield component, self.at(f"blocks.{layer}.hook_mlp_out")

    def attention(
        self, layer: int, names: AttentionNames, step: int
    ) -> Iterator[tuple[_Component, Tensor]]:
        label = f"L{layer}{'A' if names.letter == 'H' else names.letter}"
        if self.by == "layer":
            component = _Component(label, names.attn, layer, -1, step)
            yield component, self.at(f"blocks.{layer}.{names.adds}")
            return
        results, kind = self.rows.head_results(layer, names), names.attn.replace("attn", "head")
        for head in range(results.shape[2]):
            component = _Component(f"L{layer}{names.letter}{head}", kind, layer, head, step)
            yield component, results[:, :, head]
        bias = self.rows.attention_bias(layer, names).expand(results[:, :, 0].shape)
        yield _Component(f"{label}_bias", f"{names.attn}_bias", layer, -1, step), bias

    def at(self, name: str) -> Tensor:
        return self.cache.at(name, self.tokens)


def _compared(run: Run, by: By) -> _Found:
    rows = StreamRows(run.cache, "readout")
    rows.require_stream()
    if by == "head":
        rows.require_heads()
    weights = run.target.readout(run.cache).weights
    components: list[_Component] = []
    overlap: Any = 0
    share: Any = 0
    for tokens in _chunks(run.cache, by):
        pairs = list(_Writes(run.cache, tokens, by))
        components = [component for component, _ in pairs]
        writes = torch.stack([written for _, written in pairs], 1)
        share = share + torch.einsum("bcpm,bpm->bc", writes, weights[:, tokens])
        overlap = overlap + overlaps(_as_read(writes, run.cache.model.ln_final))
    return _Found(components, weights.shape[-1], overlap, share)


def _as_read(writes: Tensor, norm: Norm | None) -> Tensor:
    """Without the mean, where the final norm takes it off; single precision or better."""
    writes = writes.to(torch.promote_types(writes.dtype, torch.float32))
    return writes if norm is None or norm.width != writes.shape[-1] else norm.centered(writes)


def _chunks(cache: TransformerCache, by: By) -> Iterator[list[int]]:
    """The tokens that are read, as many at once as fit."""
    cfg, tokens = cache.model.cfg, cache.tokens_at("readout")
    per_layer = cfg.n_heads + 2 if by == "head" else 2
    per_token = cache.n_images * cfg.d_model * cfg.n_layers * per_layer
    size = max(1, _HELD // per_token)
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


def _as_dataset(found: list[_Found], name: str, by: By) -> xarray.Dataset:
    components, is_later = found[0].components, found[0].is_later
    overlap = torch.cat([each.overlap for each in found])
    share = torch.cat([each.share for each in found])
    squared = overlap.diagonal(dim1=1, dim2=2)
    inner, later = against_later(overlap, is_later)
    removed = -_over(inner, squared)
    whose = -_over((overlap * is_later).sum(0), squared.sum(0)[:, None])
    per_image = {
        "kept": 1 - removed,
        "cosine": _over(inner, (squared * later).sqrt()),
        "norm_ratio": _over(later.sqrt(), squared.sqrt()),
        "share": share,
        "undone": removed * share,
    }
    labels = [each.label for each in components]
    columns = {each: [getattr(c, each) for c in components] for each in ("kind", "layer", "head")}
    return xarray.Dataset(
        {key: (("image", "component"), as_numbers(value)) for key, value in per_image.items()}
        | {"removed_by": (("component", "remover"), as_numbers(whose))},
        coords={"component": labels, "remover": labels}
        | {key: ("component", column) for key, column in columns.items()},
        attrs={"target_name": name, "by": by, "unit": "logit", "d_model": found[0].d_model},
    )


def _over(part: Tensor, whole: Tensor) -> Tensor:
    """A ratio; zero where there is nothing to be a part of."""
    return torch.where(whole > 0, part / whole.where(whole > 0, torch.ones_like(whole)), 0)


def _sentence(result: xarray.Dataset, place: int) -> str:
    one = result.isel(component=place)
    label, n_images = str(one["component"].item()), result.sizes["image"]
    undone = 1 - one["kept"]
    removers = one["removed_by"].sortby(one["removed_by"], ascending=False)[:_NAMED]
    parts = zip(removers["remover"].values, removers.values, strict=True)
    named = [f"{remover} ({part:.2f})" for remover, part in parts if part > 0]
    where, spread = "", ""
    if n_images > 1:
        where, spread = f" on average of {n_images} images", f" ± {undone.std().item():.2f}"
    return (
        f"{label}'s direct share of {result.attrs['target_name']}, "
        f"{one['share'].mean().item():+.3g}{where}, misleads: of what it writes, later components "
        f"take back {undone.mean().item():.2f}{spread}, most of all {', '.join(named)}, whose "
        "shares count that too."
    )
