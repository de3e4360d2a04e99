"""An embedding as a sum of a few texts."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitreous._optional import needs
from vitreous.decomposition._text_span import checked_bank
from vitreous.models import as_numbers

Method = Literal["lasso", "omp"]


def sparse_text_code(
    embeddings: Float[Tensor, "images d_embed"],
    bank: Float[Tensor, "texts d_embed"],
    *,
    method: Method = "lasso",
    penalty: float = 0.25,
    n_texts: int = 10,
    texts: Sequence[str] | None = None,
    image_mean: Float[Tensor, " d_embed"] | None = None,
    text_mean: Float[Tensor, " d_embed"] | None = None,
    center: bool = True,
) -> xarray.Dataset:
    """Writes each embedding as a sum of a few texts.

    Images and texts of a CLIP lie in two cones that hardly meet, so each side is divided by its
    length, has its own mean taken off, and is divided by its length again; what is coded are
    directions `z`, in a dictionary of directions `C`. `"lasso"` finds the weights `w >= 0` that
    minimize `|C w - z|^2 / 2 + penalty * |w|_1`; `"omp"` takes one text after the other, the one
    that what is left resembles most, and its weights may be negative.

    Args:
        embeddings: Of images, or other vectors of their space.
        bank: Embeddings of texts.
        method: Which of both.
        penalty: For `"lasso"`: a text has a weight only if its product with what is left is this.
        n_texts: For `"omp"`: how many texts get a weight.
        texts: What the texts are; None numbers them.
        image_mean: Of normalized embeddings of many images. None means those given, which needs
            many.
        text_mean: Of normalized embeddings of many texts. None means those of the bank.
        center: Whether means are taken off at all; not for vectors such as the difference of two
            embeddings or a direction in the space, which have none.

    Returns:
        `weight[image, label]`, in units of the direction's length (the label is the text);
        `cosine[image]` of the direction and the sum of weighted texts, NaN where no text has a
        weight; and `count[image]`, how many texts have one.

    Raises:
        MissingDependencyError: scikit-learn isn't installed.
        ValueError: A bank of another width, or numbers that can't be.

    References:
        Bhalla et al., "Interpreting CLIP with Sparse Linear Concept Embeddings (SpLiCE)", 2024,
        section 4. Departs from it: solved by coordinate descent, or by matching pursuit; where no
        mean over a large data set is given, that of what is there. Pati, Rezaiifar and
        Krishnaprasad, "Orthogonal Matching Pursuit", 1993.
    """
    linear = needs("sklearn.linear_model", extra="ml", feature="sparse_text_code")
    names = checked_bank(embeddings, bank, texts)
    _check(method, penalty, n_texts, min(bank.shape))
    _require_mean(len(embeddings), center, image_mean)
    z = directions(embeddings, image_mean, center=center)
    C = directions(bank, text_mean, center=center)
    if method == "lasso":
        # scikit-learn divides the squared error by the number of equations.
        solver = linear.Lasso(
            penalty / z.shape[1], positive=True, fit_intercept=False, max_iter=20_000, tol=1e-8
        )
    else:
        solver = linear.OrthogonalMatchingPursuit(n_nonzero_coefs=n_texts, fit_intercept=False)
    weights = np.atleast_2d(solver.fit(as_numbers(C.T), as_numbers(z.T)).coef_)
    coded = functional.cosine_similarity(torch.from_numpy(weights) @ C, z)
    has_text = (weights != 0).any(1)
    return xarray.Dataset(
        {
            "weight": (("image", "label"), weights),
            "cosine": ("image", np.where(has_text, as_numbers(coded), np.nan)),
            "count": ("image", (weights != 0).sum(1)),
        },
        coords={"label": names},
        attrs={"method": method} | _asked(method, penalty, n_texts),
    )


def directions(
    vectors: Float[Tensor, "batch d_embed"],
    mean: Float[Tensor, " d_embed"] | None,
    *,
    center: bool = True,
) -> Float[Tensor, "batch d_embed"]:
    """What is coded, and in what: normalized, around a mean of such, and normalized again."""
    unit = functional.normalize(vectors.detach().double().cpu(), dim=-1)
    if not center:
        return unit
    mean = unit.mean(0) if mean is None else mean.detach().double().cpu()
    return functional.normalize(unit - mean, dim=-1)


def _check(method: Method, penalty: float, n_texts: int, most: int) -> None:
    if method not in ("lasso", "omp"):
        raise ValueError(f"`method` must be 'lasso' or 'omp'; got {method!r}. Pass one of them.")
    if not penalty > 0:
        raise ValueError(f"`penalty` must be positive; got {penalty}. Try 0.25.")
    if method == "omp" and not 1 <= n_texts <= most:
        raise ValueError(
            f"`n_texts` must lie in 1..{most}, for as many independent texts; got {n_texts}. "
            "Choose fewer."
        )


def _require_mean(n_images: int, center: bool, mean: Tensor | None) -> None:
    if n_images == 1 and center and mean is None:
        raise ValueError(
            "The mean of images must be known to center one; got a single embedding. Pass "
            "`image_mean=` of many normalized embeddings, or `center=False` for a direction."
        )


def _asked(method: Method, penalty: float, n_texts: int) -> dict[str, Any]:
    return {"penalty": penalty} if method == "lasso" else {"n_texts": n_texts}
