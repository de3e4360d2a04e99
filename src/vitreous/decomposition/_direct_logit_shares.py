"""Direct logit shares: a target as an exact sum over the components that wrote it."""

from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import HookError
from vitreous.decomposition._choices import must_be_one_of
from vitreous.decomposition._runs import Model, Pixels, Run, asked, runs
from vitreous.decomposition._share_rows import ShareRows, labeled, row, stacked
from vitreous.models import (
    AttentionNames,
    Readout,
    StreamRows,
    Target,
    TransformerCache,
    as_numbers,
)

By = Literal["layer", "head", "head_and_source", "neuron"]
Centering = Literal["own", "shared"]

_ATTENTIONS, _OF_BLOCK = ("attn", "attn_time"), ("hook_attn_out", "hook_attn_time_out")
_SCALES = tuple(f"{attn}.{n}.hook_scale" for attn in _ATTENTIONS for n in ("z_norm", "out_norm"))
_OF_HEADS = (*(f"{attn}.hook_z" for attn in _ATTENTIONS), *_SCALES)
_OF_SOURCES = tuple(f"{attn}.hook_{letter}" for attn in _ATTENTIONS for letter in "qkv")
# What to keep of each block.
_NAMES: dict[str, tuple[str, ...]] = {
    "layer": (*_OF_BLOCK, "hook_mlp_out"),
    "head": (*_OF_HEADS, "hook_mlp_out"),
    "head_and_source": (*_OF_HEADS, *_OF_SOURCES, "hook_mlp_out"),
    "neuron": (*_OF_BLOCK, "mlp.hook_post", "mlp.out_norm.hook_scale"),
}
_AT_ONCE = {"head_and_source": 16, "neuron": 16}


def direct_logit_shares(
    model: Model,
    images: Pixels,
    target: Target | Any,
    *,
    by: By = "layer",
    centering: Centering = "own",
    cache: TransformerCache | None = None,
) -> xarray.DataArray:
    """Splits a target into one additive share per component.

    Exact: the final norm is frozen at the scale that it had in the run, and so are the pattern of
    a pooling by attention and the length that an embedding is divided by. The rest is linear, so
    the shares, bias included, add up to the target. It says who *wrote* the target directly; what
    a component causes through later ones is a matter for interventions, and what later ones take
    back again for `clean_up`.

    Components are embedding, positions, attention and MLP of every block, the MLP of a pooling by
    attention, and `bias`: what biases of norms, pooling and head say. Finer rows add up to these.
    With `by="head"` an attention is its heads and an `attn_bias`, its output bias. With
    `"head_and_source"` a head is what it moved to the tokens that are read from each source token;
    the value bias of a head goes with its pattern, as if each source carried it. With `"neuron"`
    an MLP is its neurons and an `mlp_bias`.

    A final LayerNorm takes the mean off the stream, and adds a bias, for all components together.
    `centering="own"` takes each component's own mean off it, and leaves the norm's bias in `bias`.
    `"shared"` divides both evenly among embedding, attentions and MLPs, and within one among its
    rows. Totals are the same; single shares are not, since one that writes to all dimensions alike
    has share zero in the first alone. Where nothing is centered they differ in the bias only.

    Args:
        model: Any `HookedViT` that pools, a `HookedCLIP` or a zero-shot classifier of one.
        images: Preprocessed images, or a data set, which is streamed.
        target: From `model.target(...)`, or what that takes.
        by: How fine.
        centering: Which convention; see above.
        cache: A run on these images to read instead of running the model.

    Returns:
        Shares in units of the output (logits), dimensions `image, component`; positive speaks for
        the target. Coordinates of `component` are `kind, layer, head, source, neuron`, -1 where
        there is none; `source` is the index of a token. `attrs["residual"]` is the largest
        `|sum of shares - target|` over images. `by_layer` sums finer rows, `shares_grid` makes
        dense tables.

    Raises:
        ValueError: A target that isn't linear in the output, an unknown `by` or `centering`, or
            values that aren't finite.
        HookError: A run in which hooks replaced the stream, so that no sum exists, or what is to
            be split.

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021, "Logit
        attribution". Departs from it: a final norm is kept, frozen; biases are rows of their own.
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, sections 3.1 and 4.1 (heads and source tokens), and the authors' code
        for `centering="shared"`. Departs from that: embedding and positions are two rows, output
        biases of attention are rows that share in nothing, and all poolings are covered.
    """
    must_be_one_of("by", by, get_args(By))
    must_be_one_of("centering", centering, get_args(Centering))
    target, names = asked(model, target), _NAMES[by]
    names = names if centering == "own" else (*names, "hook_resid_post")
    about = {"target_name": target.name, "by": by, "centering": centering, "unit": "logit"}
    parts: list[ShareRows] = []
    shares: list[np.ndarray] = []
    values: list[np.ndarray] = []
    with torch.no_grad():
        for run in runs(model, images, target, names, cache=cache, batch_size=_AT_ONCE.get(by)):
            with run.cache.as_in_the_run():
                parts = _parts(run, by, centering)
            shares.append(stacked(parts))
            values.append(as_numbers(run.value))
            layout = run.cache.layout
            about |= {"grid": list(layout.grid), "n_prefix": layout.n_prefix}
    return labeled(parts, shares, about, np.concatenate(values))


direct_logit_attribution = direct_logit_shares


def head_shares(
    z: Float[Tensor, "batch tokens heads d_head"],
    directions: Float[Tensor, "batch tokens heads d_head"],
) -> Float[Tensor, "batch heads"]:
    """What each head of a block says through a readout, without forming what it wrote.

    Args:
        z: What the heads have read.
        directions: What the readout reads of it.
    """
    return (z * directions).sum((1, 3))


def source_shares(
    pattern: Float[Tensor, "batch heads queries keys"],
    v: Float[Tensor, "batch keys heads d_head"],
    directions: Float[Tensor, "batch queries heads d_head"],
) -> Float[Tensor, "batch heads keys"]:
    """The same by the token that it was moved from; its sum over keys is `head_shares`.

    Args:
        pattern: How much each query that is read attends to each key.
        v: Values, bias included.
        directions: What the readout reads of each head's `z` at the queries.
    """
    at_keys = torch.einsum("bhqk,bqhd->bkhd", pattern, directions)
    return (at_keys * v).sum(-1).transpose(1, 2)


def _parts(run: Run, by: By, centering: Centering) -> list[ShareRows]:
    readout = run.target.readout(run.cache, centered=centering == "own")
    splitter = _Splitter(run.cache, readout, by)
    parts, bias = list(splitter.parts()), splitter.bias()
    if centering == "own":
        return [*parts, row("bias", bias + readout.norm_bias, "bias", weight=0)]
    evenly = readout.norm_bias - _of_the_mean(run, readout)
    count = sum(part.weight for part in parts)
    parts = [part.raised(evenly * (part.weight / count)) if part.weight else part for part in parts]
    return [*parts, row("bias", bias, "bias", weight=0)]


def _of_the_mean(run: Run, uncentered: Readout) -> Float[Tensor, " batch"]:
    """What weights that don't center read beyond those that do."""
    centered = run.target.readout(run.cache)
    last = run.cache.at(f"blocks.{run.cache.model.cfg.n_layers - 1}.hook_resid_post")
    of_stream = ((uncentered.weights - centered.weights) * last).sum((1, 2))
    return of_stream + uncentered.constant - centered.constant


class _Splitter:
    """Reads the parts of one run through a readout."""

    def __init__(self, cache: TransformerCache, readout: Readout, by: By) -> None:
        self.cache, self.readout, self.by = cache, readout, by
        self.tokens = cache.tokens_at("readout")
        self.weights = readout.weights[:, self.tokens]
        self.rows = StreamRows(cache, "readout")
        self.rows.require_stream()
        if by in ("head", "head_and_source"):
            self.rows.require_heads()
        if by == "neuron":
            self.rows.require_neurons()

    def parts(self) -> Iterator[ShareRows]:
        embeddings = self.rows.embeddings()
        for label, written in embeddings.items():
            yield row(label, self.said(written), label, weight=1 / len(embeddings))
        for layer in range(self.cache.model.cfg.n_layers):
            for names in self.rows.attentions:
                yield from self.attention(layer, names)
            if not self.cache.model.cfg.attn_only:
                yield from self.mlp(layer)
        if self.readout.pooling_mlp is not None:
            yield row("pooling_mlp", self.readout.pooling_mlp, "pooling_mlp", weight=0)

    def bias(self) -> Float[Tensor, " batch"]:
        """What no part says: a norm in front of the blocks, and what lies behind them."""
        return self.said(self.rows.bias()) + self.readout.bias

    def said(self, written: Float[Tensor, "*#batch d_model"]) -> Float[Tensor, " batch"]:
        return (written * self.weights).sum((1, 2))

    def attention(self, layer: int, names: AttentionNames) -> Iterator[ShareRows]:
        label = f"L{layer}{_letter(names)}"
        if self.by in ("layer", "neuron"):
            written = self.cache.at(f"blocks.{layer}.{names.adds}", "readout")
            yield row(label, self.said(written), names.attn, layer)
            return
        yield self.heads(layer, names) if self.by == "head" else self.sources(layer, names)
        bias = self.said(self.rows.attention_bias(layer, names))
        yield row(f"{label}_bias", bias, f"{names.attn}_bias", layer, weight=0)

    def heads(self, layer: int, names: AttentionNames) -> ShareRows:
        """At the tokens that are read; from `hook_result` where a hook replaced that."""
        if f"blocks.{layer}.{names.attn}.hook_result" in self.cache.edited:
            results = self.rows.head_results(layer, names)
            share = (results * self.weights[:, :, None]).sum((1, 3))
        else:
            directions = self.rows.head_directions(layer, names, self.weights)
            share = head_shares(self.rows.head_inputs(layer, names), directions)
        heads = range(share.shape[1])
        labels = [f"L{layer}{names.letter}{head}" for head in heads]
        return ShareRows(share, labels, _head_kind(names), layer, heads)

    def sources(self, layer: int, names: AttentionNames) -> ShareRows:
        at = f"blocks.{layer}.{names.attn}."
        self.require_moved(f"{at}hook_z", f"{at}hook_result")
        pattern = self.cache.at(f"{at}hook_pattern")[:, :, self.tokens]
        directions = self.rows.head_directions(layer, names, self.weights)
        share = source_shares(pattern, self.cache.at(f"{at}hook_v"), directions)
        (_, n_heads, n_tokens), tokens = share.shape, self.cache.layout.names()
        return ShareRows(
            share.flatten(1),
            [f"L{layer}{names.letter}{h}@{token}" for h in range(n_heads) for token in tokens],
            _head_kind(names),
            layer,
            [head for head in range(n_heads) for _ in tokens],
            [*range(n_tokens)] * n_heads,
        )

    def require_moved(self, *names: str) -> None:
        """Raises where a head wrote something else than what it moved."""
        edited = [name for name in names if name in self.cache.edited]
        if edited:
            raise HookError(
                f"`by='head_and_source'` needs heads that write what they attend to; a hook "
                f"replaced `{edited[0]}` in this run. Use by='head', or run without that hook."
            )

    def mlp(self, layer: int) -> Iterator[ShareRows]:
        label = f"L{layer}M"
        if self.by != "neuron":
            written = self.cache.at(f"blocks.{layer}.hook_mlp_out", "readout")
            yield row(label, self.said(written), "mlp", layer)
            return
        post = self.cache.at(f"blocks.{layer}.mlp.hook_post", "readout")
        share = (post * self.rows.neuron_directions(layer, self.weights)).sum(1)
        neurons = range(share.shape[1])
        labels = [f"L{layer}N{neuron}" for neuron in neurons]
        yield ShareRows(share, labels, "neuron", layer, neuron=neurons)
        bias = self.said(self.rows.mlp_bias(layer))
        yield row(f"{label}_bias", bias, "mlp_bias", layer, weight=0)


def _letter(names: AttentionNames) -> str:
    """Of a whole attention in labels: `L3A`, or `L3T` over time."""
    return "A" if names.letter == "H" else names.letter


def _head_kind(names: AttentionNames) -> str:
    return names.attn.replace("attn", "head")
