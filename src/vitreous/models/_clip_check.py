"""The checks of a model of images and texts: of each tower, and of what compares them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vitreous.models import adapters
from vitreous.models._check import CheckReport

if TYPE_CHECKING:
    from vitreous.models._clip import HookedCLIP


@dataclass(frozen=True)
class CLIPCheckReport:
    """The tables of `clip.check()`; true when both are, and the logits are the source's.

    Attributes:
        image: Of the image tower.
        text: Of the text tower.
        same_scale: Whether scale and bias of the logits are those of the source; None where none
            was given.
    """

    image: CheckReport
    text: CheckReport
    same_scale: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.image) and bool(self.text) and self.same_scale is not False

    def __str__(self) -> str:
        parts = ["image tower", str(self.image), "", "text tower", str(self.text)]
        if self.same_scale is not None:
            verdict = "the same" if self.same_scale else "DIFFER"
            parts += ["", f"scale and bias of the logits, here and in the source: {verdict}"]
        return "\n".join(parts)

    __repr__ = __str__


def check_both(
    clip: "HookedCLIP", images: Tensor | None, texts: Tensor | None, source: nn.Module | None
) -> CLIPCheckReport:
    """Checks both towers, and compares them with those of a source."""
    return CLIPCheckReport(
        clip.image.check(images, source=source),
        clip.text.check(texts, source=source),
        None if source is None else _has_scale_of(clip, source),
    )


def _has_scale_of(clip: "HookedCLIP", source: nn.Module) -> bool:
    adapter = adapters.converter(source)
    assert adapter is not None, "the towers were compared with it"
    anew: HookedCLIP = adapters.convert(adapter, source, None, "both")
    return all(
        _equal(getattr(clip, name), getattr(anew, name)) for name in ("logit_scale", "logit_bias")
    )


def _equal(ours: Tensor | None, theirs: Tensor | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return torch.equal(ours, theirs.to(ours))
