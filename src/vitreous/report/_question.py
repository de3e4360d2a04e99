"""What a report is about: which classes a model has, and which of them is explained."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import ClassNames
from vitreous.models import HookedCLIP, HookedViT, Target, ZeroShotClassifier, image_tower

Model = HookedViT | HookedCLIP | ZeroShotClassifier
Classifier = HookedViT | ZeroShotClassifier


@dataclass(frozen=True)
class Question:
    """What is being explained: the logit of a class, or how far it leads another one.

    Attributes:
        label: Index of the class that is explained.
        minus: Index of the class it is compared with; None for the raw logit.
        text: The target in words, as the target itself is named.
    """

    label: int
    minus: int | None
    text: str


def as_classifier(model: Model, labels: Sequence[str] | None) -> Classifier:
    """The model itself; of a model of images and texts, one whose classes are texts.

    Raises:
        ValueError: Texts for a model that has classes, or none for one that has none.
    """
    if not isinstance(model, HookedCLIP):
        if labels is not None:
            raise ValueError(
                f"`labels` are texts for a model of images and texts; got {list(labels)[:3]} for a "
                "model with classes of its own. Leave them out."
            )
        return model
    if not labels or isinstance(labels, str):
        raise ValueError(
            f"A model of images and texts must be told what to choose from; got {labels!r}. "
            'Pass texts, `labels=["a photo of a cat", "a dog"]`, or `clip.zero_shot(names)`.'
        )
    with torch.no_grad():
        directions = model.encode_text(list(labels))
    names = ClassNames(tuple(labels))
    scale = model.logit_scale.exp()
    return ZeroShotClassifier(model.image, directions, scale, model.logit_bias, names)


def require_classifier(model: Any, asking: str) -> None:
    """Raises for a model that says nothing of whole images, or has no classes."""
    cfg = image_tower(model).cfg
    lacks_classes = cfg.n_classes is None and isinstance(model, HookedViT)
    if lacks_classes or cfg.pooling.kind == "none":
        lacks = "a classifier" if lacks_classes else "pooling"
        raise ValueError(
            f"`{asking}` needs a model that classifies images; got one without {lacks}. "
            "Load one with a head, or use the methods of its cache directly."
        )


def logits_of(
    model: Classifier, outputs: Float[Tensor, "batch d_embed"]
) -> Float[Tensor, "batch labels"]:
    """Logits of what comes out of the image tower, which may be embeddings."""
    return model.logits(outputs) if isinstance(model, ZeroShotClassifier) else outputs


def short_names(model: Classifier) -> ClassNames:
    """The classes by their first synonyms, where no other class has the same one."""
    names = model.labels
    if names is None:
        return ClassNames(tuple(f"class {label}" for label in range(model.n_outputs)))
    first = [name.split(",")[0] for name in names]
    if isinstance(model, ZeroShotClassifier):
        first = list(names)  # texts, whose commas divide no synonyms
    count = Counter(first)
    pairs = zip(first, names, strict=True)
    return replace(names, names=tuple(one if count[one] == 1 else full for one, full in pairs))


def ask(
    model: Classifier,
    logits: Float[Tensor, " labels"],
    names: ClassNames,
    target: str | int | None,
    minus: str | int | None,
) -> tuple[Question, Target]:
    """The question about one image, and the target that answers it."""
    ranking = logits.argsort(descending=True, stable=True).tolist()
    label = ranking[0] if target is None else _index(model, target)
    rival = _rival(model, ranking, label, minus)
    text = names[label] if rival is None else f"{names[label]} − {names[rival]}"
    return Question(label, rival, text), model.target(label, minus=rival, name=text)


def _rival(
    model: Classifier, ranking: list[int], label: int, minus: str | int | None
) -> int | None:
    others = [other for other in ranking if other != label]
    if minus is None or minus == "none" or not others:
        return None
    rival = others[0] if minus == "runner-up" else _index(model, minus)
    if rival == label:
        raise ValueError(
            f"`target` and `minus` must be two classes; got {minus!r} for both. "
            "Pass another class, or minus='none' for the raw logit."
        )
    return rival


def _index(model: Classifier, label: str | int) -> int:
    if isinstance(label, str) and model.labels is not None:
        return model.labels.find(label)
    model.target(label)  # raises, with the reason, for what is no class
    return int(label)
