"""What a neuron says by way of later heads."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import HookError
from vitreous.decomposition._choices import must_be_one_of
from vitreous.decomposition._runs import Model, Pixels, Run, asked, runs
from vitreous.models import (
    AttentionNames,
    Norm,
    StreamRows,
    Target,
    TransformerCache,
    as_numbers,
    image_tower,
)

By = Literal["neuron", "neuron_and_head", "neuron_and_token"]

_ATTENTIONS = ("attn", "attn_time")
_NAMES = (
    "mlp.hook_post", "mlp.out_norm.hook_scale", "ln1.hook_scale", "ln_time.hook_scale",
    *(f"{attn}.{name}" for attn in _ATTENTIONS
      for name in ("hook_q", "hook_k", "z_norm.hook_scale", "out_norm.hook_scale")),
)  # fmt: skip
# Where a hook that puts something else in the place of a value cuts the paths.
_ON_THE_PATH = (
    "hook_resid_", "hook_mlp_out", "attn_out", "attn_time_out", "_input", "attn_in", "attn_time_in",
    "hook_v", "hook_z", "hook_result", "ln1.hook_normalized", "ln_time.hook_normalized",
    "z_norm.hook_normalized", "out_norm.hook_normalized",
)  # fmt: skip
_AT_ONCE = 8


def second_order_shares(
    model: Model,
    images: Pixels,
    target: Target | Any,
    *,
    by: By = "neuron",
    layers: Sequence[int] | None = None,
    cache: TransformerCache | None = None,
) -> xarray.DataArray:
    """What each neuron says through the heads of later blocks, which read it and write the target.

    A neuron writes to the stream at every token; each later head moves what it reads of that to
    the tokens that the readout reads. With attention patterns and norms frozen as in the run, this
    path is linear, and the share is exact: it is what the target would lose if each later head
    read the stream without that neuron, and nothing else changed. Paths through two heads, or
    through later MLPs, are not counted, and neither is the direct one, which is
    `direct_logit_shares(..., by="neuron")`.

    The readout is carried back through the later heads to one direction per token, and each neuron
    is read along it: no tensor has tokens, neurons and width at once. By head, what a neuron's
    write becomes in a head's values is the same for all images and taken once per batch, and
    patterns are summed against activations.

    Args:
        model: Any `HookedViT` with MLPs and two blocks or more that pools, a `HookedCLIP` or a
            zero-shot classifier of one.
        images: Preprocessed images, or a data set, which is streamed.
        target: From `model.target(...)`, or what that takes.
        by: `"neuron"` sums over later heads and tokens; `"neuron_and_head"` keeps the head that
            the path goes through, `"neuron_and_token"` the token that the neuron wrote to.
        layers: Blocks whose neurons are meant; None means all but the last, behind which there is
            no head.
        cache: A run on these images to read instead of running the model.

    Returns:
        Shares in units of the output (logits), dimensions `image, component`, and `through` or
        `token` behind them; positive speaks for the target. Coordinates of `component` are `kind,
        layer, neuron`: rows of the kind `neuron`, and for each block an `mlp_bias`, with which
        they add up to what the whole MLP says by way of later heads. Coordinates of `through` are
        `layer_to, head_to, kind_to`; heads that come too early have share zero.

    Raises:
        ValueError: A model without MLPs or later heads, a target that isn't linear in the output,
            or an unknown `by` or layer.
        HookError: A run in which hooks cut the paths.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting the Second-Order Effects of Neurons in
        CLIP", 2025, section 3. Departs from it: a target is explained, not the whole embedding;
        each write is centered by its own mean in both norms, where the authors' code divides the
        mean evenly; biases of norms belong to no neuron; any pooling; all blocks at once.
    """
    must_be_one_of("by", by, get_args(By))
    tower, target = image_tower(model), asked(model, target)
    chosen = _chosen(tower.cfg.n_layers, tower.cfg.attn_only, layers)
    shares: list[np.ndarray] = []
    values: list[np.ndarray] = []
    behind: tuple[list[str], dict[str, Any]] = [], {}
    with torch.no_grad():
        for run in runs(model, images, target, _NAMES, cache=cache, batch_size=_AT_ONCE):
            _require_whole_paths(run)
            with run.cache.as_in_the_run():
                shares.append(as_numbers(_split(run, by, chosen)))
            values.append(as_numbers(run.value))
            behind = _behind(by, run)
    return xarray.DataArray(
        np.concatenate(shares),
        dims=("image", "component", *behind[0]),
        coords=_of_components(chosen, tower.cfg.d_mlp or 0)
        | behind[1]
        | {"target": ("image", np.concatenate(values))},
        name="share",
        attrs={"target_name": target.name, "by": by, "unit": "logit"},
    )


def readout_at_values(
    pattern: Float[Tensor, "batch heads queries keys"],
    directions: Float[Tensor, "batch queries heads d_head"],
) -> Float[Tensor, "batch keys heads d_head"]:
    """What a readout of heads' `z` at some queries reads of the values at each token.

    Args:
        pattern: How much each query attends to each key, held.
        directions: What the readout reads of `z` at the queries.
    """
    return torch.einsum("bhqk,bqhd->bkhd", pattern, directions)


def neuron_shares_by_head(
    post: Float[Tensor, "batch keys d_mlp"],
    pattern: Float[Tensor, "batch heads queries keys"],
    directions: Float[Tensor, "batch queries heads d_head"],
    composed: Float[Tensor, "d_mlp heads d_head"],
) -> Float[Tensor, "batch d_mlp heads"]:
    """What neurons say through each head of one later attention.

    Args:
        post: Activations, over the scales of the norms that stand between neuron and values.
        pattern: How much each query that is read attends to each key.
        directions: What the readout reads of `z` at the queries.
        composed: What a unit of each neuron becomes in the values of each head.
    """
    moved = torch.einsum("bhqk,bkn->bhqn", pattern, post)
    said = torch.einsum("bqhd,nhd->bhqn", directions, composed)
    return (moved * said).sum(2).transpose(1, 2)


class _Later(NamedTuple):
    """One attention of a later block, with the readout carried to its heads."""

    layer: int
    names: AttentionNames
    pattern: Float[Tensor, "batch heads queries keys"]
    directions: Float[Tensor, "batch queries heads d_head"]


class _Paths:
    """The paths of one run from neurons through later heads to the readout."""

    def __init__(self, run: Run) -> None:
        self.cache = run.cache
        self.tokens = run.cache.tokens_at("readout")
        self.weights = run.target.readout(run.cache).weights[:, self.tokens]
        self.read, self.rows = StreamRows(run.cache, "readout"), StreamRows(run.cache, "all")

    def attentions(self, layer: int) -> Iterator[_Later]:
        for names in self.rows.attentions:
            pattern = self.cache.at(f"blocks.{layer}.{names.attn}.hook_pattern")
            directions = self.read.head_directions(layer, names, self.weights)
            yield _Later(layer, names, pattern[:, :, self.tokens], directions)

    def directions(self, layer: int) -> Float[Tensor, "batch tokens d_model"]:
        """What the readout reads, through the heads of a block, of the stream that enters it."""
        return torch.stack([self._in_stream(each) for each in self.attentions(layer)]).sum(0)

    def _in_stream(self, later: _Later) -> Float[Tensor, "batch tokens d_model"]:
        at_values = readout_at_values(later.pattern, later.directions)
        W_V = self.rows.attention(later.layer, later.names).W_V
        directions = torch.einsum("bkhd,hmd->bkm", at_values, W_V)
        norm = self.norm(later)
        return directions if norm is None else norm.transposed(directions, self.scale(later))

    def norm(self, later: _Later) -> Norm | None:
        return self.cache.model.blocks[later.layer].norm_of(later.names)

    def scale(self, later: _Later) -> Float[Tensor, "batch tokens 1"]:
        return self.cache.at(f"blocks.{later.layer}.{later.names.norm}.hook_scale")

    def post(self, layer: int) -> Float[Tensor, "batch tokens d_mlp"]:
        return self.cache.at(f"blocks.{layer}.mlp.hook_post")

    def said(
        self, layer: int, directions: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens components"]:
        """What the neurons of a block, and its bias, say along directions at every token."""
        neurons = self.post(layer) * self.rows.neuron_directions(layer, directions)
        bias = (directions * self.rows.mlp_bias(layer)).sum(-1, keepdim=True)
        return torch.cat([neurons, bias], -1)

    def said_through(self, layer: int, later: _Later) -> Float[Tensor, "batch components heads"]:
        """The same by head of another attention, summed over tokens; zero if it comes too early."""
        post = self.post(layer)
        if later.layer <= layer:
            return post.new_zeros(len(post), post.shape[-1] + 1, later.directions.shape[2])
        neurons, post = self._composed(layer, later)
        by_head = neuron_shares_by_head(post, later.pattern, later.directions, neurons)
        at_values = readout_at_values(later.pattern, later.directions)
        bias = self._into_values(later, self.rows.mlp_bias(layer), self.scale_or_one(later))
        return torch.cat([by_head, (at_values * bias).sum((1, 3))[:, None]], 1)

    def scale_or_one(self, later: _Later) -> Tensor:
        one = self.weights.new_ones(1)
        return one if self.norm(later) is None else self.scale(later)

    def _composed(self, layer: int, later: _Later) -> tuple[Tensor, Tensor]:
        """A unit of each neuron in the values of a later head, and activations over all scales."""
        mlp = self.cache.model.blocks[layer].mlp
        assert mlp is not None
        writes, post = mlp.W_out, self.post(layer) / self.scale_or_one(later)
        if mlp.out_norm is not None:
            writes = mlp.out_norm.linear(writes, writes.new_ones(1))
            post = post / self.cache.at(f"blocks.{layer}.mlp.out_norm.hook_scale")
        return self._into_values(later, writes, writes.new_ones(1)), post

    def _into_values(self, later: _Later, writes: Tensor, scale: Tensor) -> Tensor:
        """Writes to the stream as they meet the values of a later attention, biases apart."""
        norm = self.norm(later)
        writes = writes if norm is None else norm.linear(writes, scale)
        W_V = self.rows.attention(later.layer, later.names).W_V
        return torch.einsum("...m,hmd->...hd", writes, W_V)


def _split(run: Run, by: By, layers: Sequence[int]) -> Float[Tensor, "batch components *right"]:
    paths = _Paths(run)
    if by == "neuron_and_head":
        return _by_head(paths, layers)
    by_layer: dict[int, Tensor] = {}
    directions = None
    for layer in reversed(_blocks(paths.rows)[min(layers) :]):
        if layer in layers:
            assert directions is not None  # the last block isn't among them
            said = paths.said(layer, directions).transpose(1, 2)
            by_layer[layer] = said.sum(2) if by == "neuron" else said
        later = paths.directions(layer)
        directions = later if directions is None else directions + later
    return torch.cat([by_layer[layer] for layer in layers], 1)


def _by_head(paths: _Paths, layers: Sequence[int]) -> Float[Tensor, "batch components heads"]:
    readers = [each for layer in _blocks(paths.rows) for each in paths.attentions(layer)]
    rows = [torch.cat([paths.said_through(layer, each) for each in readers], 2) for layer in layers]
    return torch.cat(rows, 1)


def _blocks(rows: StreamRows) -> range:
    return range(rows.model.cfg.n_layers)


def _chosen(n_layers: int, attn_only: bool, layers: Sequence[int] | None) -> list[int]:
    """The blocks whose neurons are meant, in order."""
    if attn_only or n_layers < 2:
        got = "an attention-only model" if attn_only else "a model of one block"
        raise ValueError(
            f"`second_order_shares` needs MLPs and heads behind them; got {got}. "
            "Use `direct_logit_shares`."
        )
    chosen = range(n_layers - 1) if layers is None else sorted(set(layers))
    wrong = [layer for layer in chosen if not 0 <= layer < n_layers - 1]
    if wrong or not chosen:
        raise ValueError(
            f"`layers` must lie in 0..{n_layers - 2}, in front of another block; got "
            f"{wrong[0] if wrong else 'none'}. Choose others."
        )
    return list(chosen)


def _require_whole_paths(run: Run) -> None:
    cut = sorted(
        name
        for name in run.cache.edited
        if name.startswith("blocks.") and any(part in name for part in _ON_THE_PATH)
    )
    if cut:
        raise HookError(
            f"Paths from neurons through heads must be whole; a hook replaced `{cut[0]}` in this "
            "run. Run without that hook."
        )


def _of_components(layers: Sequence[int], d_mlp: int) -> dict[str, Any]:
    labels = [[*(f"L{layer}N{n}" for n in range(d_mlp)), f"L{layer}M_bias"] for layer in layers]
    columns = {
        "kind": [*["neuron"] * d_mlp, "mlp_bias"] * len(layers),
        "layer": [layer for layer in layers for _ in range(d_mlp + 1)],
        "neuron": [*range(d_mlp), -1] * len(layers),
    }
    return {"component": [label for each in labels for label in each]} | {
        name: ("component", column) for name, column in columns.items()
    }


def _behind(by: By, run: Run) -> tuple[list[str], dict[str, Any]]:
    """The dimension behind `component`, and its coordinates."""
    if by == "neuron":
        return [], {}
    if by == "neuron_and_token":
        return ["token"], {"token": run.cache.layout.names()}
    rows = StreamRows(run.cache, "all")
    heads = [
        (f"L{layer}{names.letter}{head}", layer, head, names.attn.replace("attn", "head"))
        for layer in _blocks(rows)
        for names in rows.attentions
        for head in range(rows.model.cfg.n_heads)
    ]
    labels, layers, places, kinds = zip(*heads, strict=True)
    columns = {"layer_to": layers, "head_to": places, "kind_to": kinds}
    return ["through"], {"through": list(labels)} | {
        name: ("through", list(column)) for name, column in columns.items()
    }
