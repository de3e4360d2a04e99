"""TextSpan: the few texts along which a head's output varies."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.models import as_numbers, require_finite


@dataclass(frozen=True)
class TextSpan:
    """A few texts that span what some vectors say; called on vectors, it keeps just that.

    Attributes:
        chosen: Their places in the bank, the most telling first.
        texts: What they are.
        basis: Orthonormal; the first `i` rows span the first `i` chosen texts, as far as these lie
            where the vectors vary.
        mean: Of the vectors, which no text explains.
        explained: The part of the vectors' variance in the span of the texts up to each.
    """

    chosen: Int[Tensor, " components"]
    texts: tuple[str, ...]
    basis: Float[Tensor, "components d_embed"]
    mean: Float[Tensor, " d_embed"]
    explained: Float[Tensor, " components"]

    def __call__(self, outputs: Float[Tensor, "images d_embed"]) -> Float[Tensor, "images d_embed"]:
        """The vectors with nothing left but their mean and what the texts span."""
        basis, mean = self.basis.to(outputs), self.mean.to(outputs)
        return mean + (outputs - mean) @ basis.T @ basis

    def table(self) -> xarray.DataArray:
        """The part of the variance explained up to each text, dimension `component`."""
        return xarray.DataArray(
            as_numbers(self.explained),
            dims="component",
            coords={"component": list(self.texts), "place": ("component", self.chosen.tolist())},
            name="explained",
            attrs={"unit": "part of the variance"},
        )


def text_span(
    outputs: Float[Tensor, "images d_embed"],
    bank: Float[Tensor, "texts d_embed"],
    k: int = 10,
    *,
    texts: Sequence[str] | None = None,
    rank: int | None = None,
    normalize: bool = False,
) -> TextSpan:
    """Describes what a head varies in by the texts that explain most of it, one after the other.

    Each step takes the text along which the vectors vary most and takes its direction off the
    vectors and off all texts. So what is left is orthogonal to the chosen texts, and vectors that
    vary in the span of `k` texts are rebuilt exactly. A text that stands in the bank twice, or
    that the chosen ones span, is never chosen again.

    Args:
        outputs: Vectors of many images, for example `head_outputs(model, images, layer, head)`.
        bank: Embeddings of texts, or unembeddings of classes, in the same space.
        k: How many texts; fewer come back where fewer explain everything that the bank can.
        texts: What the texts are; None numbers them.
        rank: Into how many principal directions of the vectors the texts are projected first; None
            means all in which they vary.
        normalize: Whether texts, once projected, count by their direction alone. Otherwise, as in
            the paper, those that lie in the vectors' space are ahead.

    Raises:
        ValueError: A bank of another width, no texts, or vectors that don't vary.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, algorithm 1. Departs from its published code, which projects the bank
        with singular vectors of the vectors as they are and centers these later: here both steps
        see centered vectors. `normalize` is ours.
    """
    names = checked_bank(outputs, bank, texts)
    if k < 1 or (rank is not None and rank < 1):
        raise ValueError(f"`k` and `rank` must be at least 1; got {k} and {rank}. Raise them.")
    values, mean = outputs.detach().double(), outputs.detach().double().mean(0)
    directions, variances = _principal(values - mean)
    directions, variances = directions[:rank], variances[:rank]
    total = (values - mean).pow(2).sum()
    chosen, basis, gained = _greedy(
        bank.detach().double() @ directions.T, variances.diag(), k, normalize
    )
    return TextSpan(
        torch.tensor(chosen),
        tuple(names[place] for place in chosen),
        (basis @ directions).to(outputs),
        mean.to(outputs),
        (gained.cumsum(0) / total).to(outputs),
    )


def checked_bank(
    outputs: Float[Tensor, "images d_embed"],
    bank: Tensor,
    texts: Sequence[str] | None,
) -> list[str]:
    """What the texts of a bank are called, where it fits the vectors and these are numbers."""
    if not len(outputs):
        raise ValueError("There must be vectors of images; got none. Pass some.")
    if bank.ndim != 2 or not len(bank) or bank.shape[1] != outputs.shape[1]:
        raise ValueError(
            f"`bank` must hold one row of width {outputs.shape[1]} per text; got shape "
            f"{list(bank.shape)}. Embed texts with the model that the vectors are of."
        )
    if texts is not None and len(texts) != len(bank):
        raise ValueError(
            f"`texts` must name every row of the bank; got {len(texts)} for {len(bank)}. "
            "Pass both of the same texts."
        )
    require_finite(outputs, "outputs")
    require_finite(bank, "bank")
    return [f"text {place}" for place in range(len(bank))] if texts is None else list(texts)


def _principal(
    centered: Float[Tensor, "images d_embed"],
) -> tuple[Float[Tensor, "inner d_embed"], Float[Tensor, " inner"]]:
    """The directions in which vectors vary, and the sum of squares along each."""
    _, S, Vh = torch.linalg.svd(centered, full_matrices=False)
    varies = S[0] * max(centered.shape) * torch.finfo(centered.dtype).eps < S
    if not varies.any():
        raise ValueError(
            f"`outputs` must vary from image to image; got {len(centered)} that are all the same. "
            "Pass those of several images."
        )
    return Vh[varies], S[varies].square()


def _greedy(
    texts: Float[Tensor, "texts inner"],
    spread: Float[Tensor, "inner inner"],
    k: int,
    normalize: bool,
) -> tuple[list[int], Float[Tensor, "components inner"], Float[Tensor, " components"]]:
    """The chosen texts, an orthonormal basis of them, and the sum of squares that each adds."""
    chosen, basis, gained = [], [], []
    least = texts.norm(dim=-1).max() * 1e-9
    for _ in range(min(k, len(spread))):
        lengths = texts.norm(dim=-1)
        explained = torch.einsum("tc,cd,td->t", texts, spread, texts)
        worth = explained / lengths.square() if normalize else explained
        worth = worth.where(lengths > least, -torch.inf)
        place = int(worth.argmax())
        if worth[place] <= 0:
            break  # all that the bank can explain is explained
        direction = texts[place] / lengths[place]
        chosen.append(place)
        basis.append(direction)
        gained.append(direction @ spread @ direction)
        texts = texts - (texts @ direction)[:, None] * direction
        kept = torch.eye(len(spread)).to(spread) - direction[:, None] * direction
        spread = kept @ spread @ kept
    if not chosen:
        raise ValueError(
            "`bank` must hold a text along which the vectors vary; got none. Pass other texts."
        )
    return chosen, torch.stack(basis), torch.stack(gained)
