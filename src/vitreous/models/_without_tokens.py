"""The stream that enters a model when some patches are left out."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import UnsupportedModelError
from vitreous.models._grid import has_fixed_tokens

if TYPE_CHECKING:
    from vitreous.models._layout import TokenLayout
    from vitreous.models._vit import HookedViT


def without_tokens(
    model: "HookedViT",
    images: Float[Tensor, "batch *frames channels rows columns"],
    positions: Any,
) -> Float[Tensor, "batch tokens d_model"]:
    """Leaves patches out: the shorter stream that enters the first block.

    ``model(without_tokens(model, images, positions), start_at_layer=0)`` runs it, and so do
    `run_with_cache` and the rest. The other tokens keep their positions, and nothing stands in the
    place of those that are gone: no token attends to them, and no readout counts them. That is the
    one corruption that puts no pixels into a region; but models that always saw all patches never
    saw a short sequence, and attention that was spread over them is spread over fewer.

    Equal to the whole run with those tokens hidden from attention and from the pooling.

    Args:
        model: Any `HookedViT` in whose blocks a token's place doesn't matter.
        images: Preprocessed images.
        positions: The patches to leave out, the same of all images: whatever
            `model.layout.select` takes; or of each image its own, as many of each: a bool mask
            `[images, rows, columns]` (of clips `[images, frames, rows, columns]`) over the grid.

    Returns:
        The stream, with class, distillation and register tokens and the patches that are left.

    Raises:
        ValueError: Tokens that are no patches, all of them, another number in another image, or a
            patch that the head reads by its place.
        UnsupportedModelError: Blocks hold something for each place: rotary positions, a relative
            bias, or attention divided over time and space.

    References:
        Jain et al., "Missingness Bias in Model Debugging", 2022, section 3 (dropping tokens of a
        vision transformer). Departs from it: registers are kept, and clips can be given.
    """
    if has_fixed_tokens(model.cfg):
        raise UnsupportedModelError(
            "`without_tokens` needs blocks in which a token's place doesn't matter; got a model "
            f"with {_what_is_fixed(model)}. Corrupt the pixels instead."
        )
    layout = model.layout_for(images)
    kept = _kept(layout, positions, len(images)).to(images.device)
    if layout.readout == "first" and bool((kept[:, 0] != 0).any()):
        raise ValueError(
            "`positions` must leave the token that the head reads; got the first one. Keep it."
        )
    stream = model.embed(images, layout)
    return stream.gather(1, kept[:, :, None].expand(-1, -1, stream.shape[-1]))


def _kept(layout: "TokenLayout", positions: Any, n_images: int) -> Int[Tensor, "batch tokens"]:
    """The tokens that are left of each image."""
    gone = torch.zeros(n_images, layout.n_tokens, dtype=torch.bool)
    own = _own_masks(layout, positions, n_images)
    if own is None:
        gone[:, layout.select(positions)] = True
    else:
        gone[:, layout.n_prefix :] = own
    if gone[:, : layout.n_prefix].any():
        raise ValueError(
            "`positions` must be patches; got a class, distillation or register token, which no "
            "picture is made of. Use interventions for those."
        )
    counts = sorted(set(gone.sum(1).tolist()))
    if len(counts) > 1 or counts[0] in (0, layout.n_patches):
        raise ValueError(
            f"`positions` must leave out as many patches of every image, at least one of "
            f"{layout.n_patches} and not all; got {' and '.join(map(str, counts[:2]))}. "
            "Run images apart that lose another number."
        )
    return (~gone).nonzero()[:, 1].view(n_images, -1)


def _own_masks(layout: "TokenLayout", positions: Any, n_images: int) -> Tensor | None:
    """Masks of each image, over its patches; None where `positions` are something else."""
    if not isinstance(positions, Tensor) or positions.dtype != torch.bool:
        return None
    frames, rows, columns = layout.grid
    shape = (n_images, frames, rows, columns) if frames > 1 else (n_images, rows, columns)
    return positions.flatten(1).cpu() if tuple(positions.shape) == shape else None


def _what_is_fixed(model: "HookedViT") -> str:
    attention = model.cfg.attention
    if attention.rotary is not None:
        return "rotary positions"
    return "a relative bias" if attention.relative_bias else "attention over time and space"
