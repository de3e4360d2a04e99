"""What each head says directly, as a vector in the space of the outputs."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    OutputReading,
    StreamRows,
    TransformerCache,
    ZeroShotClassifier,
    image_tower,
    output_points,
    require_finite,
    stream,
)

Space = Literal["outputs", "features"]


def head_outputs(
    model: HookedViT | HookedCLIP | ZeroShotClassifier,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    layer: int | None = None,
    head: int | None = None,
    *,
    space: Space = "outputs",
    normalize: bool = False,
) -> Float[Tensor, "images *components labels"]:
    """Collects the direct contribution of heads over a data set.

    Exact: with norms and pooling held as in the run, the vectors of all heads, with those of the
    other components and of biases, add up to the output of each image. This is what `text_span`
    takes: for a CLIP with a bank of embedded texts, for a classifier with `space="features"` and
    the bank `model.W_U.T`, the unembeddings of its classes.

    Args:
        model: Any `HookedViT` that pools, or a model of images and texts, whose image tower it is.
        images: Preprocessed images, or `vt.data.Images`, which are streamed.
        layer: Whose heads; None means every layer.
        head: Which head; None means all.
        space: `"outputs"`, logits or the entries of an embedding; or `"features"`, what the head
            of the model reads.
        normalize: Whether to divide by the length of the image's whole output, as models that
            compare embeddings do.

    Returns:
        `[images, layers, heads, outputs]` on the CPU, without the dimension of what was chosen; in
        units of the outputs. All heads of a large model over a large data set take much room:
        choose a layer. With attention divided over time and space, heads over space.

    Raises:
        ValueError: No images, values that are NaN, a layer or head that there isn't, or features of
            a model that reads two vectors.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, equation 8. Departs from it: any pooling; biases of the final norm are
        no head's, instead of being shared out evenly, and each contribution is centered by its own
        mean; the bias of a head's values is the head's.
    """
    tower = image_tower(model)
    layers = _chosen("layer", layer, tower.cfg.n_layers)
    heads = _chosen("head", head, tower.cfg.n_heads)
    if space not in ("outputs", "features"):
        raise ValueError(f"`space` must be 'outputs' or 'features'; got {space!r}. Pass one.")
    names = [*head_points(tower, layers), *output_points(tower)]
    parts = []
    for batch in stream(tower, images):
        with torch.no_grad():
            output, cache = tower.run_with_cache(batch.pixels, names_filter=names)
            reading = OutputReading(cache, behind_head=space == "outputs")
            said = said_by_heads(cache, reading, layers)[:, :, heads]
            said = require_finite(said, "head_outputs")
            length = output.norm(dim=-1)[:, None, None, None] if normalize else 1.0
            parts.append((said / length).cpu())
    said = torch.cat(parts)
    said = said if head is None else said[:, :, 0]
    return said if layer is None else said[:, 0]


def head_points(model: HookedViT, layers: Sequence[int]) -> list[str]:
    """What a run must hold so that what the heads of these layers say can be read."""
    norms = model.blocks[0].attn.norms_of_output
    points = ["hook_z", *(f"{norm}.hook_scale" for norm in norms)]
    return [f"blocks.{layer}.attn.{point}" for layer in layers for point in points]


def said_by_heads(
    cache: TransformerCache, reading: OutputReading, layers: Sequence[int]
) -> Float[Tensor, "batch layers heads labels"]:
    """What the heads of some layers say in one run."""
    parts = StreamRows(cache, reading.tokens)
    parts.require_heads()
    names = parts.attentions[-1]
    said = []
    for layer in layers:
        attn = parts.attention(layer, names)
        if attn.norms_of_output or f"blocks.{layer}.attn.hook_result" in cache.edited:
            said.append(reading(parts.head_results(layer, names)))
            continue
        # A head's reads are pooled first: what it wrote at every token is never formed.
        pooled = reading.pooled(parts.head_inputs(layer, names))
        said.append(reading.of_pooled(torch.einsum("bghd,hdm->bghm", pooled, attn.W_O)))
    return torch.stack(said, 1)


def _chosen(word: str, index: int | None, count: int) -> list[int]:
    if index is None:
        return list(range(count))
    if not -count <= index < count:
        raise ValueError(f"`{word}` must lie in 0..{count - 1}; got {index}. Choose another.")
    return [index % count]
