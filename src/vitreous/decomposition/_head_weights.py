"""Heads read from their weights alone: which class raises which, and along what they work."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

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
from vitreous.models import FactoredMatrix, HookedViT, as_numbers, image_tower

Circuit = Literal["OV", "QK"]


class HeadReads(NamedTuple):
    """What the heads of a layer read of the stream, the norm in front of them folded in.

    Attributes:
        Q: For queries; `K` for keys, `V` for values.
        O: What they write, LayerScale included.
    """

    Q: Float[Tensor, "heads d_model d_head"]
    K: Float[Tensor, "heads d_model d_head"]
    V: Float[Tensor, "heads d_model d_head"]
    O: Float[Tensor, "heads d_head d_model"]  # noqa: E741

    @property
    def OV(self) -> FactoredMatrix:
        return FactoredMatrix(self.V, self.O)

    @property
    def QK(self) -> FactoredMatrix:
        return FactoredMatrix(self.Q, self.K.transpose(-1, -2))


def head_reads(model: HookedViT, layer: int) -> HeadReads:
    """The weights of a layer's heads, over space where attention is divided."""
    block = model.blocks[layer]
    names = block.attentions[-1]
    attn, norm = block.attention(names), block.norm_of(names)
    Q, K, V = (
        in_front_of(norm, wide(weight).transpose(1, 2)).transpose(1, 2)
        for weight in (attn.W_Q, attn.W_K, attn.W_V)
    )
    return HeadReads(Q, K, V, wide(attn.W_O))


def ov_circuits(
    model: Model,
    *,
    layer: int | None = None,
    bank: Float[Tensor, "texts d_embed"] | None = None,
    texts: Sequence[str] | None = None,
) -> xarray.DataArray:
    """Which class each head raises, of which class it attends to.

    One unit of a class's direction in the stream (the one that the model's head reads it with, made
    of length one) at a token adds this to each logit, by the direct path, when the head attends to
    that token: over the scales of the norm in front of the head and of the last norm, whose gains
    and centering are folded in. A head that copies has a large diagonal.

    Args:
        model: Any `HookedViT` whose head reads one vector, a `HookedCLIP` with a bank, or a
            zero-shot classifier.
        layer: Whose heads; None means every layer's.
        bank: Embeddings of texts, to read in their space instead of that of the classes.
        texts: What the texts are; None numbers them.

    Returns:
        `[layer, head, seen, label]`, in units of the output at scale one: what seeing `seen` adds
        to `label`.

    Raises:
        ValueError: A norm between values and output (there is no such matrix), a head of the model
            without a direction per class, or a bank of another width.

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021, "Splitting
        attention head terms into circuits"; Dar et al., "Analyzing Transformers in Embedding
        Space", 2023, section 3. Departs from both: norms' gains and centering are folded in.
    """
    classes, tower = class_directions(model, bank, texts), image_tower(model)
    layers = chosen_layers(tower, layer)
    raised = []
    for each in layers:
        _ = tower.blocks[each].attn.OV  # raises, with the reason, where there is none
        reads = head_reads(tower, each)
        raised.append((classes.unit @ reads.V) @ (reads.O @ classes.rows.T))
    return xarray.DataArray(
        as_numbers(torch.stack(raised)),
        dims=("layer", "head", "seen", "label"),
        coords={
            "layer": layers,
            "head": range(tower.cfg.n_heads),
            "seen": classes.names,
            "label": classes.names,
        },
        name="raised",
    )


def singular_directions(
    model: Model,
    layer: int,
    head: int,
    circuit: Circuit = "OV",
    *,
    k: int = 10,
    bank: Float[Tensor, "texts d_embed"] | None = None,
    texts: Sequence[str] | None = None,
) -> xarray.Dataset:
    """The directions along which a head works most, read in class or text space.

    The singular vectors of `W_V @ W_O` or `W_Q @ W_K.T`, with the norm in front of the head folded
    in. A pair of them has one sign in common, which means nothing; it is chosen so that what the
    right one says most for is positive.

    Args:
        model: As in `ov_circuits`.
        layer: The block.
        head: The head.
        circuit: `"OV"`, from what is attended to (left) to what is written (right); or `"QK"`,
            from the token that attends (left) to the one attended to (right).
        k: How many, of at most as many as the head is wide.
        bank: Embeddings of texts, to read in their space instead of that of the classes.
        texts: What the texts are; None numbers them.

    Returns:
        `singular_value[component]`; `left[component, label]`, how much each class's direction (of
        length one) lies along the left vector; and `right[component, label]`: for `"OV"` what the
        right vector says for each class, in units of the output at scale one, for `"QK"` as `left`.

    Raises:
        ValueError: There is no such matrix (a norm around `W_O`; queries and keys that are
            normalized or turned), no such head, or no direction per class.

    References:
        Millidge and Black, "The Singular Value Decompositions of Transformer Weight Matrices are
        Highly Interpretable", 2022. Departs from it: norms are folded in.
    """
    if circuit not in ("OV", "QK"):
        raise ValueError(f"`circuit` must be 'OV' or 'QK'; got {circuit!r}. Pass one of them.")
    classes, tower = class_directions(model, bank, texts), image_tower(model)
    [layer] = chosen_layers(tower, layer)
    if not 0 <= head < tower.cfg.n_heads:
        raise ValueError(
            f"`head` must lie in 0..{tower.cfg.n_heads - 1}; got {head}. Choose another."
        )
    _ = getattr(tower.blocks[layer].attn, circuit)  # raises, with the reason, where there is none
    U, S, V = getattr(head_reads(tower, layer), circuit)[head].svd()
    left, S, right = U.T[:k], S[:k], V.T[:k]
    read = classes.rows if circuit == "OV" else classes.unit
    said, seen = right @ read.T, left @ classes.unit.T
    most = said.gather(1, said.abs().argmax(1, keepdim=True))
    sign = torch.where(most < 0, -1.0, 1.0).to(said)
    return xarray.Dataset(
        {
            "singular_value": ("component", as_numbers(S)),
            "left": (("component", "label"), as_numbers(seen * sign)),
            "right": (("component", "label"), as_numbers(said * sign)),
        },
        coords={"component": range(len(S)), "label": classes.names},
        attrs={"circuit": circuit, "layer": layer, "head": head},
    )
