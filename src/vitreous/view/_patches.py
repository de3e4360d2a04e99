"""Pictures on their patch grid: the plain one, and one that shows what each patch says by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous.view._frame import MARGIN, STACKED_BELOW, wrapped
from vitreous.view._packing import Array, as_numpy, exact
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

_WIDEST_PICTURE = 480
_CONTROLS = (150, 160, 120)  # widths of the choices beside the picture


@dataclass(frozen=True)
class ImageGrid(Viewer):
    """A picture cut into the patches that a model sees; the patch under the cursor is named."""

    tag: ClassVar[str] = "vt-image-grid"
    picture: Picture
    tokens: TokenMap
    alt: str = "The picture, cut into patches"

    def payload(self) -> Mapping[str, Any]:
        return {"picture": self.picture, "tokens": self.tokens.payload(), "alt": self.alt}

    def height(self, width: float) -> float:
        return self.picture.height(min(width, _WIDEST_PICTURE)) + 30


@dataclass(frozen=True)
class PatchLens(Viewer):
    """What each patch says at each layer, with a slider over the layers.

    The page holds, for each token and layer, the `top` highest labels with their logits, the
    logsumexp over all labels (so that probabilities are those over *all* labels), and every logit
    of the `followed` labels. All in float32.

    Attributes:
        picture: The picture under the patches.
        tokens: Which token lies where.
        logits: `[layers, tokens, labels]`, logits of each token read out at each layer.
        layers: A name for each layer, first to last.
        labels: A name for each label.
        emoji: One emoji for each label, if there are any.
        followed: Labels that the reader may color all patches by.
        top: How many labels to keep per token and layer.
    """

    tag: ClassVar[str] = "vt-patch-lens"
    picture: Picture
    tokens: TokenMap
    logits: Float[Array, "layers tokens labels"]
    layers: Sequence[str]
    labels: Sequence[str]
    emoji: Sequence[str] | None = None
    followed: Sequence[int] = ()
    top: int = 3

    def __post_init__(self) -> None:
        n_layers, n_tokens, n_labels = self.logits.shape
        self.tokens.must_fit(n_tokens)
        if (len(self.layers), len(self.labels)) != (n_layers, n_labels):
            raise ValueError(
                f"Logits of {n_layers} layers and {n_labels} labels need as many names; got "
                f"{len(self.layers)} and {len(self.labels)}. Pass one name for each."
            )

    def payload(self) -> Mapping[str, Any]:
        logits = as_numpy(self.logits).astype(np.float64)
        kept = np.argsort(-logits, axis=-1, kind="stable")[..., : self.top]
        highest = logits.max(axis=-1, keepdims=True)
        log_partition = np.log(np.exp(logits - highest).sum(axis=-1)) + highest[..., 0]
        followed = np.asarray(self.followed, dtype=np.int64)
        return {
            "picture": self.picture,
            "tokens": self.tokens.payload(),
            "layers": list(self.layers),
            "labels": list(self.labels),
            "emoji": None if self.emoji is None else list(self.emoji),
            "followed": followed.tolist(),
            "top": exact(kept),
            "topLogits": exact(np.take_along_axis(logits, kept, axis=-1)),
            "logPartition": exact(log_partition),
            "followedLogits": exact(logits[..., followed]),
        }

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        column = min(width if stacked else 0.55 * width, _WIDEST_PICTURE)
        picture = self.picture.height(column)
        side = self._side_height(width if stacked else width - column - 40)
        stage = picture + 24 + side if stacked else max(picture, side)
        return stage + 115 + 37 * len(self.tokens.special)

    def _side_height(self, width: float) -> float:
        show, by, of = _CONTROLS
        show += 60 if self.emoji else 0
        controls = 64 * wrapped((show, by, of), 28, width) + (29 if width < 1.2 * show else 0)
        return controls + 145 + 31 * self.top
