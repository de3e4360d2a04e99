"""What each patch says by now: a lens's logits on the picture, over all layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import xarray
from jaxtyping import Float

from vitreous.view._frame import MARGIN, STACKED_BELOW, wrapped
from vitreous.view._image_grid import WIDEST_PICTURE
from vitreous.view._kept_logits import (
    Courses,
    TopLogits,
    courses,
    courses_among,
    followed_and_leading,
)
from vitreous.view._label_colors import label_colors
from vitreous.view._packing import Array, as_numpy, exact
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

READOUT = "readout"
"""Names the row of the whole head among the tokens."""

_CONTROLS = (150, 220, 120, 140)  # widths of the choices beside the picture
_LEADING = 3  # labels of its own that a token's course shows beside the followed ones
_FOLLOWED = 4


@runtime_checkable
class LabelNames(Protocol):
    """What a lens reads from a model's class names, such as `vitreous.data.ClassNames`."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def emoji(self) -> Sequence[str] | None: ...
    @property
    def groups(self) -> Sequence[str] | None: ...
    @property
    def colors(self) -> Sequence[str] | None: ...


@dataclass(frozen=True)
class PatchLens(Viewer):
    """What each patch says at each layer: the emoji logit lens.

    Patches carry their top label, as an emoji or a name, and are colored by its probability, by its
    logit, or by class. A slider and a play button move through the layers, or all layers stand side
    by side. A click on a patch holds it and shows its course: the labels that lead there at some
    layer and the followed ones, with the rank of each.

    The page holds, for each token and layer, the `top` highest labels with their logits and the
    logsumexp over all labels (so that probabilities are those over *all* labels); and the logit and
    the rank, at each layer, of the `followed` labels and of three more that lead at that token. All
    in float32; so 1000 classes at 577 tokens stay small.

    Attributes:
        picture: The picture under the patches.
        tokens: Which token lies where.
        logits: `[layers, tokens, labels]`, logits of each token read out at each layer; or the
            highest of them, where a rank below these is shown as unknown.
        layers: A name for each layer, first to last.
        labels: A name for each label.
        emoji: One emoji for each label, if there are any.
        followed: Labels whose course is always shown, and by which all patches may be colored.
        top: How many labels to keep per token and layer.
        readout: `[layers, labels]`, the whole head (pooling, norm and all) at each layer: the
            prediction, if the model stopped there. Or the highest of them, as of one token.
        colors: "#rrggbb" for each label; by default from the label's place in the list, alike for
            labels of the same widest group.
        groups: Where each label stands in a hierarchy: "animal/mammal/dog".

    Raises:
        ValueError: Names, colors or tokens in another number than the logits; a followed label that
            isn't there; NaN or infinite logits.
    """

    tag: ClassVar[str] = "vt-patch-lens"
    picture: Picture
    tokens: TokenMap
    logits: Float[Array, "layers tokens labels"] | TopLogits
    layers: Sequence[str]
    labels: Sequence[str]
    emoji: Sequence[str] | None = None
    followed: Sequence[int] = ()
    top: int = 3
    readout: Float[Array, "layers labels"] | TopLogits | None = None
    colors: Sequence[str] | None = None
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        logits = self.logits
        n_layers, n_tokens, n_labels = (
            (*logits.label.shape[:2], len(self.labels))
            if isinstance(logits, TopLogits)
            else logits.shape
        )
        self.tokens.must_fit(n_tokens)
        if (len(self.layers), len(self.labels)) != (n_layers, n_labels):
            raise ValueError(
                f"Logits of {n_layers} layers and {n_labels} labels need as many names; got "
                f"{len(self.layers)} and {len(self.labels)}. Pass one name for each."
            )
        for field in ("emoji", "colors", "groups"):
            entries = getattr(self, field)
            if entries is not None and len(entries) != n_labels:
                raise ValueError(
                    f"`{field}` must have one entry per label; got {len(entries)} for {n_labels}. "
                    "Pass None if there are none."
                )
        if any(not 0 <= label < n_labels for label in self.followed):
            raise ValueError(
                f"`followed` must lie in 0..{n_labels - 1}; got {list(self.followed)}. "
                "Pass indices of labels."
            )

    @classmethod
    def of(
        cls,
        lens: xarray.Dataset,
        picture: Picture,
        tokens: TokenMap,
        labels: LabelNames | Sequence[str] | None = None,
        *,
        image: int = 0,
        followed: Sequence[int] | None = None,
    ) -> "PatchLens":
        """Takes one image of a lens's result, as `vitreous.lenses.logit_lens` returns it.

        Args:
            lens: `logit` and `readout` over all labels; or what `top=` left of them, with `label`
                and `log_partition`. A result without `readout` shows the tokens alone.
            picture: The image that the lens was read on.
            tokens: Which token lies where: `TokenMap.of(model.layout)`.
            labels: The model's class names, with emoji, groups and colors, or plain names; by
                default the names that the result itself has.
            image: Which of the result's images.
            followed: Labels to follow; by default the four highest of the last layer, by the whole
                head or the first token.

        Raises:
            ValueError: A result without tokens, or of the highest labels alone and no names for
                all.
        """
        if "logit" not in lens:
            raise ValueError(
                f"A lens must have read tokens; got only {', '.join(map(str, lens.data_vars))}. "
                'Read them with `positions="all"`.'
            )
        one = lens.isel(image=image) if "image" in lens.dims else lens
        says, whole = _logits(one, "logit", ""), None
        if READOUT in one:
            whole = _logits(one, READOUT, f"{READOUT}_")
        names, more = _named(one, labels)
        return cls(
            picture,
            tokens,
            says,
            [layer_name(int(layer)) for layer in one["layer"].to_numpy()],
            names,
            followed=_answers(says if whole is None else whole) if followed is None else followed,
            readout=whole[:, 0] if isinstance(whole, np.ndarray) else whole,
            **more,
        )

    def payload(self) -> Mapping[str, Any]:
        top, shown, followed = self._kept()
        tokens = self.tokens.payload()
        if self.readout is not None:
            tokens["special"] = (*tokens["special"], len(self.tokens.names))
            tokens["names"] = (*tokens["names"], READOUT)
        colors = label_colors(len(self.labels), self.groups) if self.colors is None else self.colors
        return {
            "picture": self.picture,
            "tokens": tokens,
            "layers": list(self.layers),
            "labels": list(self.labels),
            "emoji": None if self.emoji is None else list(self.emoji),
            "colors": list(colors),
            "groups": None if self.groups is None else list(self.groups),
            "followed": followed,
            "top": exact(as_numpy(top.label)),
            "topLogits": exact(top.logit),
            "logPartition": exact(top.log_partition),
            "courseLabels": exact(shown.label),
            "courseLogits": exact(shown.logit),
            "courseRanks": exact(shown.rank),
        }

    def _kept(self) -> tuple[TopLogits, Courses, list[int]]:
        """The highest labels; the courses; and the followed labels, which come first in these."""
        followed = list(dict.fromkeys(int(label) for label in self.followed))
        n_labels = len(self.labels)
        count = min(_LEADING, n_labels - len(followed))
        if isinstance(self.logits, TopLogits):
            all_top = self.logits
            if isinstance(self.readout, TopLogits):
                all_top = all_top.beside(self.readout)
            last = all_top.label[-1, :, 0]
            chosen = followed_and_leading(all_top.peaks(n_labels), last, followed, count)
            return all_top.cut(self.top), courses_among(all_top, chosen), followed
        logits = as_numpy(self.logits)
        if self.readout is not None:
            assert not isinstance(self.readout, TopLogits)
            logits = np.concatenate([logits, as_numpy(self.readout)[:, None]], axis=1)
        top = TopLogits.of(logits, self.top)
        peaks = np.exp((logits - top.log_partition[..., None]).max(axis=0))
        chosen = followed_and_leading(peaks, top.label[-1, :, 0], followed, count)
        return top, courses(logits, chosen), followed

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        column = min(width if stacked else 0.55 * width, WIDEST_PICTURE)
        picture = self.picture.height(column)
        side = self._side_height(width if stacked else width - column - 40)
        stage = picture + 24 + side if stacked else max(picture, side)
        special = len(self.tokens.special) + (self.readout is not None)
        return stage + 130 + 37 * special + self._course_height()

    def _side_height(self, width: float) -> float:
        show, *others = _CONTROLS if len(self.layers) > 1 else _CONTROLS[:-1]
        show += 60 if self.emoji else 0
        controls = 64 * wrapped((show, *others), 28, width) + (29 if width < 1.2 * show else 0)
        return controls + 145 + 31 * self.top

    def _course_height(self) -> float:
        followed = len(dict.fromkeys(self.followed))
        return 208 + 28 * (followed + min(_LEADING, len(self.labels) - followed))


def layer_name(layer: int) -> str:
    """A block as a reader says it; -1 is the embedding."""
    return "embedding" if layer < 0 else f"block {layer}"


def _logits(one: xarray.Dataset, name: str, prefix: str) -> np.ndarray | TopLogits:
    """A lens's logits of one image: all of them, or the highest. The whole head is one token."""
    if "rank" not in one[name].dims:
        return _by_token(one[name], "label")
    return TopLogits(
        _by_token(one[f"{prefix}label"], "rank"),
        _by_token(one[name], "rank"),
        _by_token(one[f"{prefix}log_partition"]),
    )


def _answers(logits: np.ndarray | TopLogits) -> list[int]:
    """The highest labels of the first token at the last layer."""
    highest = logits if isinstance(logits, TopLogits) else TopLogits.of(logits[-1:], _FOLLOWED)
    return as_numpy(highest.label)[-1, 0, :_FOLLOWED].tolist()


def _by_token(values: xarray.DataArray, *last: str) -> np.ndarray:
    values = values if "token" in values.dims else values.expand_dims("token")
    return values.transpose("layer", "token", *last).to_numpy()


def _named(
    one: xarray.Dataset, labels: LabelNames | Sequence[str] | None
) -> tuple[list[str], dict[str, Any]]:
    """The labels' names, and what else is known of them."""
    if labels is None:
        if "rank" in one.dims:
            raise ValueError(
                "`labels` must name all labels of a lens that kept the highest; got None. "
                "Pass the model's class names, `model.labels`."
            )
        return [str(name) for name in one["label"].to_numpy()], {}
    if isinstance(labels, Sequence):
        return list(labels), {}
    more = {field: getattr(labels, field) for field in ("emoji", "groups", "colors")}
    return list(labels.names), more
