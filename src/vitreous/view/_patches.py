"""Pictures on their patch grid: the plain one, and one that shows what each patch says by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous.view._packing import Array, as_numpy, exact
from vitreous.view._viewer import Picture, TokenMap


@dataclass(frozen=True)
class ImageGrid:
    """A picture cut into the patches that a model sees; the patch under the cursor is named."""

    tag: ClassVar[str] = "vt-image-grid"
    picture: Picture
    tokens: TokenMap
    alt: str = "The picture, cut into patches"

    def payload(self) -> Mapping[str, Any]:
        return {"picture": self.picture, "tokens": self.tokens.payload(), "alt": self.alt}


@dataclass(frozen=True)
class PatchLens:
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
