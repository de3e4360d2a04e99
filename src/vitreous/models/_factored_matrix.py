"""A matrix of low rank, kept as the product that it is."""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FactoredMatrix:
    """`A @ B`, for products like `W_V @ W_O` whose inner dimension is small.

    Leading dimensions (layers, heads) are batch dimensions. Products, singular values and
    eigenvalues never form the large matrix; `.AB` does.

    Attributes:
        A: `[..., left, inner]`.
        B: `[..., inner, right]`.
    """

    A: Float[Tensor, "*#batch left inner"]
    B: Float[Tensor, "*#batch inner right"]

    def __post_init__(self) -> None:
        if min(self.A.ndim, self.B.ndim) < 2:
            raise ValueError(
                f"`A` and `B` must be matrices; got {self.A.ndim} and {self.B.ndim} dimensions. "
                "Give a vector a second dimension of one."
            )
        if self.A.shape[-1] != self.B.shape[-2]:
            raise ValueError(
                f"The inner dimensions of `A` and `B` must agree; got {self.A.shape[-1]} and "
                f"{self.B.shape[-2]}. Transpose one of them."
            )

    @property
    def shape(self) -> torch.Size:
        batch = torch.broadcast_shapes(self.A.shape[:-2], self.B.shape[:-2])
        return torch.Size([*batch, self.A.shape[-2], self.B.shape[-1]])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def AB(self) -> Tensor:
        """The product, `[..., left, right]`."""
        return self.A @ self.B

    @property
    def BA(self) -> Tensor:
        """The factors the other way round, `[..., inner, inner]`; needs a square product."""
        self._require_square("BA")
        return self.B @ self.A

    @property
    def T(self) -> "FactoredMatrix":
        return FactoredMatrix(self.B.transpose(-1, -2), self.A.transpose(-1, -2))

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        return self.A, self.B

    def __matmul__(self, other: "Tensor | FactoredMatrix") -> "Tensor | FactoredMatrix":
        """Product with a matrix or vector on the right; the narrower inner dimension is kept."""
        if isinstance(other, FactoredMatrix):
            return (self @ other.A) @ other.B  # type: ignore[return-value]
        if other.ndim == 1:
            return (self.A @ (self.B @ other)[..., None])[..., 0]
        if self.A.shape[-1] > other.shape[-1]:
            return FactoredMatrix(self.AB, other)
        return FactoredMatrix(self.A, self.B @ other)

    def __rmatmul__(self, other: Tensor) -> "Tensor | FactoredMatrix":
        if other.ndim == 1:
            return ((other @ self.A)[..., None, :] @ self.B)[..., 0, :]
        if self.A.shape[-1] > other.shape[-2]:
            return FactoredMatrix(other, self.AB)
        return FactoredMatrix(other @ self.A, self.B)

    def __mul__(self, scalar: float | Tensor) -> "FactoredMatrix":
        if isinstance(scalar, Tensor) and scalar.numel() != 1:
            raise ValueError(
                f"A factored matrix can be multiplied by a scalar; got shape {list(scalar.shape)}. "
                "Multiply a factor, or use `.AB`."
            )
        scalar = scalar.reshape(()) if isinstance(scalar, Tensor) else scalar
        return FactoredMatrix(self.A * scalar, self.B)

    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> "FactoredMatrix":
        """Indexes batch dimensions first, then rows, then columns, as the full matrix would.

        But for one thing: the result stays a matrix. One row or column keeps its dimension, and
        lists of both select every combination.
        """
        index = index if isinstance(index, tuple) else (index,)
        if any(each is None or getattr(each, "ndim", 1) > 1 for each in index):
            raise IndexError(
                "An index of a factored matrix must stand for one dimension; got None, or an "
                "array of several. Use `unsqueeze`, or index with one list per dimension."
            )
        if Ellipsis in index:
            place = index.index(Ellipsis)
            missing = self.ndim - (len(index) - 1)
            index = (*index[:place], *[slice(None)] * missing, *index[place + 1 :])
        n_batch = self.ndim - 2
        if len(index) > self.ndim:
            raise IndexError(
                f"A factored matrix of {self.ndim} dimensions takes as many indices; "
                f"got {len(index)}. Drop some."
            )
        batch, rest = index[:n_batch], index[n_batch:]
        rows = _as_slice(rest[0], self.shape[-2]) if rest else slice(None)
        columns = _as_slice(rest[1], self.shape[-1]) if len(rest) > 1 else slice(None)
        A, B = self._expanded()
        return FactoredMatrix(A[batch][..., rows, :], B[batch][..., columns])

    def svd(self) -> tuple[Tensor, Tensor, Tensor]:
        """Singular vectors and values `U, S, V` with `AB == U @ diag(S) @ V.T`, largest first.

        At most `inner` singular values; exact, through the two small problems of the factors.
        """
        U_A, S_A, Vh_A = torch.linalg.svd(self.A, full_matrices=False)
        U_B, S_B, Vh_B = torch.linalg.svd(self.B, full_matrices=False)
        middle = S_A[..., :, None] * (Vh_A @ U_B) * S_B[..., None, :]
        U, S, Vh = torch.linalg.svd(middle, full_matrices=False)
        return U_A @ U, S, (Vh @ Vh_B).transpose(-1, -2)

    @property
    def U(self) -> Tensor:
        return self.svd()[0]

    @property
    def S(self) -> Tensor:
        return self.svd()[1]

    @property
    def V(self) -> Tensor:
        """Right singular vectors as columns, `[..., right, inner]`."""
        return self.svd()[2]

    @property
    def eigenvalues(self) -> Tensor:
        """The eigenvalues that aren't zero by construction (complex), from the small product."""
        inner_is_small = self.A.shape[-1] <= self.A.shape[-2]
        self._require_square("eigenvalues")
        return torch.linalg.eigvals(self.BA if inner_is_small else self.AB)

    def norm(self) -> Tensor:
        """Frobenius norm, from the small Gram matrices."""
        gram_A = self.A.transpose(-1, -2) @ self.A
        gram_B = self.B @ self.B.transpose(-1, -2)
        return (gram_A * gram_B).sum((-1, -2)).clamp_min(0).sqrt()

    def make_even(self) -> "FactoredMatrix":
        """The same matrix with the singular values split evenly between both factors."""
        U, S, V = self.svd()
        root = S.sqrt()[..., None, :]
        return FactoredMatrix(U * root, (V * root).transpose(-1, -2))

    def get_corner(self, k: int = 3) -> Tensor:
        """The first `k` rows and columns of the product."""
        return self.A[..., :k, :] @ self.B[..., :, :k]

    def collapse_l(self) -> Tensor:
        """`S V.T`: the matrix as seen from the right, `[..., inner, right]`."""
        _, S, V = self.svd()
        return S[..., :, None] * V.transpose(-1, -2)

    def collapse_r(self) -> Tensor:
        """`U S`: the matrix as seen from the left, `[..., left, inner]`."""
        U, S, _ = self.svd()
        return U * S[..., None, :]

    def unsqueeze(self, dim: int) -> "FactoredMatrix":
        """A new batch dimension at `dim`, counted from the front."""
        if not 0 <= dim <= self.ndim - 2:
            raise ValueError(
                f"`dim` must be a batch dimension in 0..{self.ndim - 2}; got {dim}. "
                "Rows and columns stay last."
            )
        A, B = self._expanded()
        return FactoredMatrix(A.unsqueeze(dim), B.unsqueeze(dim))

    def _expanded(self) -> tuple[Tensor, Tensor]:
        """Both factors with all batch dimensions."""
        batch = self.shape[:-2]
        A = self.A.expand(*batch, *self.A.shape[-2:])
        return A, self.B.expand(*batch, *self.B.shape[-2:])

    def _require_square(self, what: str) -> None:
        if self.shape[-1] != self.shape[-2]:
            raise ValueError(
                f"`{what}` needs a square product; got {self.shape[-2]} x {self.shape[-1]}. "
                "Use `.AB` or `svd()`."
            )


def _as_slice(index: Any, size: int) -> Any:
    """An index that keeps its dimension: the factors have to stay matrices."""
    try:
        place = operator.index(index)  # of any kind of whole number
    except TypeError:
        return index
    if not -size <= place < size:
        raise IndexError(f"A row or column must lie in 0..{size - 1}; got {place}. Choose another.")
    return slice(place, place + 1) if place != -1 else slice(-1, None)
