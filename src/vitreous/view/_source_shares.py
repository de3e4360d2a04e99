"""Who told the class token what: an exact sum by source token, on the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray
from jaxtyping import Float

from vitreous.view._frame import MARGIN, STACKED_BELOW
from vitreous.view._image_grid import WIDEST_PICTURE
from vitreous.view._packing import Array, as_numpy, exact, fitted
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer


@dataclass(frozen=True)
class SourceShares(Viewer):
    """What each token of the picture contributed to a target, by head, by layer, or in all.

    A map of layers and heads stands beside the picture; a cell shows what its head moved from each
    token to the one that is read, the name of a layer the sum over its heads. Orange speaks
    against the target, blue for it, and the scale is centered at zero.

    Attributes:
        picture: The picture under the patches.
        tokens: Which token lies where.
        shares: `[layers, heads, tokens]`, what each head moved from each source token. Exact up to
            a megabyte, in 4095 steps per head beyond; the heads' own sums are always exact.
        layers: A name for each layer; its number by default.
        heads: A name for each head; its number by default.
        rest: What no head wrote, such as MLPs, embedding and biases: with the shares it adds up to
            the target. None where it isn't known.
        reader: The token that is read.
        unit: What the values are counted in.
        ends: What the two ends of the scale mean: (negative, positive).

    Raises:
        ValueError: Names or tokens in another number than the shares; NaN or infinite shares.
    """

    tag: ClassVar[str] = "vt-source-shares"
    picture: Picture
    tokens: TokenMap
    shares: Float[Array, "layers heads tokens"]
    layers: Sequence[str] | None = None
    heads: Sequence[str] | None = None
    rest: float | None = None
    reader: str = "class token"
    unit: str = "share of the target, in logits"
    ends: tuple[str, str] = ("against", "for")

    def __post_init__(self) -> None:
        n_layers, n_heads, n_tokens = self.shares.shape
        self.tokens.must_fit(n_tokens)
        if [len(names) for names in self._names] != [n_layers, n_heads]:
            given = [len(names) for names in self._names]
            raise ValueError(
                f"Shares of {n_layers} layers and {n_heads} heads need as many names; got "
                f"{given[0]} and {given[1]}. Pass one name for each."
            )

    @classmethod
    def of(
        cls,
        shares: xarray.DataArray,
        picture: Picture,
        tokens: TokenMap,
        *,
        image: int = 0,
        reader: str = "class token",
    ) -> "SourceShares":
        """Takes one image of `direct_logit_shares(model, images, target, by="head_and_source")`.

        Args:
            shares: With a dimension `component` and its coordinates `layer, head, source`, -1 where
                a component has none.
            picture: The image that the shares belong to.
            tokens: Which token lies where: `TokenMap.of(model.layout)`.
            image: Which of the result's images.
            reader: The token that is read: "class token", "mean of the patches".

        Raises:
            ValueError: Shares that are not divided by head and source token.
        """
        one = shares.isel(image=image) if "image" in shares.dims else shares
        values = one.to_numpy().astype(np.float64)
        layer, head, source = (one[name].to_numpy() for name in ("layer", "head", "source"))
        moved = (source >= 0) & (head >= 0)
        if not moved.any():
            raise ValueError(
                "Shares must be divided by head and source token; got components without a source. "
                'Take those of `by="head_and_source"`.'
            )
        grid = np.zeros((layer[moved].max() + 1, head[moved].max() + 1, len(tokens.names)))
        np.add.at(grid, (layer[moved], head[moved], source[moved]), values[moved])
        return cls(picture, tokens, grid, rest=float(values[~moved].sum()), reader=reader)

    @property
    def _names(self) -> list[list[str]]:
        """Of the layers, and of the heads."""
        return [
            [str(i) for i in range(size)] if names is None else list(names)
            for names, size in zip((self.layers, self.heads), self.shares.shape, strict=False)
        ]

    def payload(self) -> Mapping[str, Any]:
        layers, heads = self._names
        return {
            "picture": self.picture,
            "tokens": self.tokens.payload(),
            "shares": fitted(self.shares),
            "headSums": exact(as_numpy(self.shares).astype(np.float64).sum(axis=-1)),
            "layers": layers,
            "heads": heads,
            "rest": self.rest,
            "reader": self.reader,
            "unit": self.unit,
            "ends": list(self.ends),
        }

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        column = min(width if stacked else 0.55 * width, WIDEST_PICTURE)
        special = len(self.tokens.special)
        left = self.picture.height(column) + 200 + 46 * bool(special)
        right = 290 + 33.6 * len(self.shares) + 24 * special
        return left + 24 + right if stacked else max(left, right)
