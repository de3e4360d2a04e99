"""Neurons read from their weights alone: what they look for, and what they say."""

from collections.abc import Mapping, Sequence

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.decomposition._class_directions import (
    chosen_layers,
    class_directions,
    in_front_of,
    wide,
)
from vitreous.decomposition._runs import Model
from vitreous.models import MLP, HookedViT, as_numbers, image_tower


def neuron_writes(
    model: Model,
    *,
    layer: int | None = None,
    bank: Float[Tensor, "texts d_embed"] | None = None,
    texts: Sequence[str] | None = None,
) -> xarray.DataArray:
    """What each neuron says directly for each class when it is on: its row of `W_out`, read.

    Exact for the direct path: one unit of the neuron's activation at a token that is read adds this
    to the logit, divided by the scale of the last norm there and times the pooling's weight of that
    token. The norm's gain and centering are folded in, and so is LayerScale; behind a norm of the
    MLP's output, it is divided by that norm's scale too. What later layers make of it isn't in it.

    Args:
        model: Any `HookedViT` whose head reads one vector, a `HookedCLIP` with a bank, or a
            zero-shot classifier.
        layer: Whose neurons; None means every layer's.
        bank: Embeddings of texts, to read in their space instead of that of the classes.
        texts: What the texts are; None numbers them.

    Returns:
        `[layer, neuron, label]`, in units of the output at scale one.

    Raises:
        ValueError: An attention-only model, one whose head has no direction per class (two heads,
            pooling by attention), or a bank of another width.

    References:
        Geva et al., "Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the
        Vocabulary Space", 2022, section 3; Dar et al., "Analyzing Transformers in Embedding Space",
        2023, section 3. Departs from both: the last norm's gain and centering are folded in.
    """
    classes, tower = class_directions(model, bank, texts), image_tower(model)
    layers = chosen_layers(tower, layer)
    said = []
    for mlp in (_mlp(tower, each) for each in layers):
        said.append(wide(mlp.W_out) @ in_front_of(mlp.out_norm, classes.rows).T)
    return _labeled(torch.stack(said), layers, {"label": classes.names}, "writes")


def neuron_reads(
    model: Model,
    *,
    layer: int | None = None,
    bank: Float[Tensor, "texts d_embed"] | None = None,
    texts: Sequence[str] | None = None,
) -> xarray.DataArray:
    """What each neuron looks for among the classes: its column of `W_in`, read.

    One unit of a class's direction in the stream (the one that the model's head reads it with, made
    of length one) adds this to what goes into the nonlinearity, divided by the scale of the norm in
    front of the MLP. That norm's gain and centering are folded in. Of a gated MLP, the gate. Early
    layers needn't hold classes where the head reads them.

    Args:
        model: As in `neuron_writes`.
        layer: Whose neurons; None means every layer's.
        bank: Embeddings of texts, to read in their space instead of that of the classes.
        texts: What the texts are; None numbers them.

    Returns:
        `[layer, neuron, label]`, in units of the activation at scale one.

    Raises:
        ValueError: As `neuron_writes`.

    References:
        Geva et al., "Transformer Feed-Forward Layers Are Key-Value Memories", 2021; Dar et al.,
        "Analyzing Transformers in Embedding Space", 2023, section 3. Departs from both: the norm's
        gain and centering are folded in, and directions have length one.
    """
    classes, tower = class_directions(model, bank, texts), image_tower(model)
    layers = chosen_layers(tower, layer)
    read = torch.stack([_keys(tower, each) @ classes.unit.T for each in layers])
    return _labeled(read, layers, {"label": classes.names}, "reads")


def neuron_patches(model: Model, *, layer: int | None = None) -> xarray.DataArray:
    """The patch that each neuron looks for directly: its column of `W_in`, through `W_E`.

    One unit of a preprocessed pixel adds this to what goes into the nonlinearity at its patch, over
    the scales of the norms between, if no block in between did anything: telling for the first
    layers, and less so later.

    Args:
        model: Any `HookedViT` that embeds patches linearly, or a model of images and texts.
        layer: Whose neurons; None means every layer's.

    Returns:
        `[layer, neuron, channel, row, column]` (`frame` in front of `row` where a patch covers
        several), in units of the activation at scale one.

    Raises:
        ValueError: An attention-only model, or one with a stem.

    References:
        Dar et al., "Analyzing Transformers in Embedding Space", 2023, section 3, with patches in
        the place of tokens.
    """
    tower = image_tower(model)
    layers = chosen_layers(tower, layer)
    weight = tower.embedding.convolution().weight
    written = wide(weight).flatten(1).T
    for norm in (tower.embedding.patch_norm, tower.ln_pre):
        written = written if norm is None else wide(norm.linear(written, written.new_ones(1)))
    read = torch.stack([_keys(tower, each) @ written.T for each in layers])
    shape = weight.shape[1:]
    axes = (
        ("channel", "frame", "row", "column") if len(shape) == 4 else ("channel", "row", "column")
    )
    places = {axis: list(range(size)) for axis, size in zip(axes, shape, strict=True)}
    return _labeled(read.unflatten(-1, shape), layers, places, "reads")


def _keys(model: HookedViT, layer: int) -> Float[Tensor, "d_mlp d_model"]:
    """What reads the stream for each neuron, through the norms in front of it."""
    mlp, block = _mlp(model, layer), model.blocks[layer]
    behind = in_front_of(mlp.in_norm, wide(mlp.W_in).T)
    return in_front_of(block.ln1 if block.parallel else block.ln2, behind)


def _mlp(model: HookedViT, layer: int) -> MLP:
    mlp = model.blocks[layer].mlp
    if mlp is None:
        raise ValueError(
            "Neurons need MLPs; got an attention-only model. Use `ov_circuits` for its heads."
        )
    return mlp


def _labeled(
    values: Tensor, layers: list[int], places: Mapping[str, Sequence[str | int]], name: str
) -> xarray.DataArray:
    return xarray.DataArray(
        as_numbers(values),
        dims=("layer", "neuron", *places),
        coords={"layer": layers, "neuron": range(values.shape[1]), **places},
        name=name,
    )
