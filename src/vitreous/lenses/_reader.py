"""From a residual stream to logits: the end of a model, past all hooks."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import ClassNames
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    Norm,
    TokenLayout,
    ZeroShotClassifier,
    image_tower,
    label_names,
)

Model = HookedViT | ZeroShotClassifier | HookedCLIP


def lens_logits(
    resid: Float[Tensor, "... d_pooled"],
    norm: Norm | None,
    weight: Float[Tensor, "labels d_pooled"],
    bias: Float[Tensor, " labels"] | None,
) -> Float[Tensor, "... labels"]:
    """Residuals (or what they were pooled to) through a norm, each at its own scale, and a head."""
    normalized = resid if norm is None else norm.fused(resid)
    return torch.nn.functional.linear(normalized, weight, bias)


@dataclass(frozen=True)
class Reader:
    """Reads residual streams against the classes of a head, or against texts.

    Attributes:
        tower: Whose streams are read.
        names: What all classes are called.
        texts: Directions that the tower's output is compared with; None where it holds logits.
        kept: Indices of the classes that are read; None means all.
    """

    tower: HookedViT
    names: tuple[str, ...]
    texts: ZeroShotClassifier | None = None
    kept: Int[Tensor, " labels"] | None = None

    @classmethod
    def of(cls, model: Model, labels: Any) -> Self:
        """What a model is read against; `labels` are the texts of a model of images and texts."""
        tower = image_tower(model)
        texts = model if isinstance(model, ZeroShotClassifier) else None
        if isinstance(model, HookedCLIP):
            texts = _against_texts(model, labels)
        if texts is None and tower.head.linear is None:
            raise ValueError(
                "A lens needs a model with a head; got one that returns features. "
                "Load a classifier, or pass `clip.zero_shot(names)`."
            )
        return cls(tower, _names(tower if texts is None else texts), texts)

    def keeping(self, kept: Int[Tensor, " labels"]) -> "Reader":
        """The same for some of the classes, of which alone the logits are computed."""
        if self.texts is None:
            return Reader(self.tower, self.names, None, kept)
        bank = self.texts
        some = ZeroShotClassifier(self.tower, bank.weights[kept], bank.scale, bank.bias)
        return Reader(self.tower, self.names, some)

    def indices(self, labels: Any) -> Int[Tensor, " labels"]:
        """The places of classes that are given by name or by number."""
        if isinstance(labels, str | int) or not len(labels):
            raise ValueError(
                f"`labels` must be a list of classes; got {labels!r}. Pass names or indices."
            )
        found = [self._index(each) for each in labels]
        return torch.tensor(found, device=self.tower.placement.device)

    def tokens(
        self, resid: Float[Tensor, "batch tokens d_model"], chosen: Sequence[int]
    ) -> Float[Tensor, "batch positions labels"]:
        """Each token alone. With two heads, the class and the distillation token have their own."""
        before, behind = self._norms
        resid = resid if len(chosen) == resid.shape[1] else resid[:, list(chosen)]
        pooled = self.tower.pooling.alone(resid if before is None else before.fused(resid))
        outputs = [self._head(pooled, behind, place) for place in range(self._n_heads)]
        output = outputs[0]
        if len(outputs) > 1:
            output = (outputs[0] + outputs[1]) / 2
            for place, token in enumerate(chosen):
                if token < len(outputs):
                    output[:, place] = outputs[token][:, place]
        return self._logits(output.flatten(0, 1)).unflatten(0, output.shape[:2])

    def whole(
        self, resid: Float[Tensor, "batch tokens d_model"], layout: TokenLayout
    ) -> Float[Tensor, "batch labels"]:
        """The whole stream, as the model reads its last one."""
        before, behind = self._norms
        resid = resid if before is None else before.fused(resid)
        pooled = self.tower.pooling.fused(resid, layout)
        outputs = [self._head(x, behind, place) for place, x in enumerate(pooled)]
        output = outputs[0] if len(outputs) == 1 else (outputs[0] + outputs[1]) / 2
        return self._logits(output)

    def _index(self, label: Any) -> int:
        if isinstance(label, str):
            return ClassNames(self.names).find(label)
        index = operator.index(label)
        if not 0 <= index < len(self.names):
            raise ValueError(
                f"`labels` must lie in 0..{len(self.names) - 1}; got {index}. Pass class indices "
                "of this model, or names."
            )
        return index

    @property
    def pools(self) -> bool:
        """Whether the model has one output per image, and not one per token."""
        return self.tower.cfg.pooling.kind != "none"

    @property
    def _n_heads(self) -> int:
        return 1 + self.tower.pooling.reads_distillation

    @property
    def _norms(self) -> tuple[Norm | None, Norm | None]:
        """The final norm in front of the pooling, or behind it."""
        norm = self.tower.ln_final
        return (norm, None) if self.tower.cfg.pooling.normalizes_tokens else (None, norm)

    def _head(self, pooled: Tensor, norm: Norm | None, place: int) -> Tensor:
        head = (self.tower.head.linear, self.tower.head.distillation)[place]
        if head is None:
            return pooled if norm is None else norm.fused(pooled)
        if self.kept is None:
            return lens_logits(pooled, norm, head.weight, head.bias)
        bias = None if head.bias is None else head.bias[self.kept]
        return lens_logits(pooled, norm, head.weight[self.kept], bias)

    def _logits(self, output: Float[Tensor, "batch d_out"]) -> Float[Tensor, "batch labels"]:
        return output if self.texts is None else self.texts.logits(output)


def _against_texts(model: HookedCLIP, asked: Any) -> ZeroShotClassifier:
    if asked is None or isinstance(asked, str) or not len(asked):
        raise ValueError(
            "`labels` must be texts, or their embeddings, for a model of images and texts; got "
            f"{asked!r}. Pass a list of texts, or `clip.zero_shot(names)` as the model."
        )
    if isinstance(asked, Tensor):
        if asked.ndim != 2 or asked.shape[1] != model.image.n_outputs:
            raise ValueError(
                f"`labels` must be embeddings [texts, {model.image.n_outputs}]; got shape "
                f"{list(asked.shape)}. Use `clip.encode_text(texts)`."
            )
        names = None
        bank = torch.nn.functional.normalize(asked.to(model.placement), dim=-1)
    else:
        names, bank = ClassNames(tuple(asked)), model.encode_text(list(asked))
    return ZeroShotClassifier(model.image, bank, model.logit_scale.exp(), model.logit_bias, names)


def _names(model: HookedViT | ZeroShotClassifier) -> tuple[str, ...]:
    if isinstance(model, HookedViT):
        names = label_names(model)
    else:
        names = list(model.labels or (f"text {i}" for i in range(model.n_outputs)))
    if len(names) != model.n_outputs:
        raise ValueError(
            f"`labels` must name every output; got {len(names)} names for {model.n_outputs} "
            "outputs. Set `model.labels` anew."
        )
    return tuple(names)
