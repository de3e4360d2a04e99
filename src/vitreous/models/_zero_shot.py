"""Classes described in words, and targets that are texts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.data import ClassNames
from vitreous.models._question import Question, question
from vitreous.models._target import Target

if TYPE_CHECKING:
    from vitreous.models._clip import HookedCLIP
    from vitreous.models._vit import HookedViT

TEMPLATES = ("a photo of a {}.",)


class ZeroShotClassifier(nn.Module):
    """An image tower whose classes are directions of texts in the space of embeddings.

    Attributes:
        image: The tower.
        weights: One direction of length one per class.
        scale: The factor in front of the cosine.
        bias: What is added to every logit.
        labels: What the classes are called.

    References:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
        2021, sections 3.1.2 and 3.1.4 (prompts, and their average in the space of embeddings).
    """

    weights: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(
        self,
        image: "HookedViT",
        weights: Float[Tensor, "labels d_embed"],
        scale: Tensor,
        bias: Tensor | None,
        labels: ClassNames | None = None,
    ) -> None:
        super().__init__()
        if weights.shape[-1] != image.n_outputs:
            raise ValueError(
                f"`weights` must be {image.n_outputs} wide, as embeddings of this tower are; got "
                f"{weights.shape[-1]}. Pass embeddings of the same model."
            )
        self.image, self.labels = image, labels
        self.register_buffer("weights", weights.detach().clone())
        self.register_buffer("scale", scale.detach().clone())
        bias = torch.zeros_like(scale) if bias is None else bias
        self.register_buffer("bias", bias.detach().clone())

    @classmethod
    @torch.no_grad()
    def of(
        cls, clip: "HookedCLIP", names: Sequence[str] | ClassNames, templates: Sequence[str]
    ) -> Self:
        """The classifier of a CLIP; see `HookedCLIP.zero_shot`."""
        labels = names if isinstance(names, ClassNames) else ClassNames(tuple(names))
        if isinstance(names, str) or not len(labels):
            raise ValueError(
                f"`names` must be the names of one class or more; got {names!r}. Pass a list."
            )
        wrong = [each for each in templates if each.count("{}") != 1]
        if wrong or not templates or isinstance(templates, str):
            raise ValueError(
                "`templates` must be texts with one `{}` for the class; got "
                f"{(wrong or [templates])[0]!r}. Pass for example ('a photo of a {{}}.',)."
            )
        firsts = [name.split(",")[0].strip() for name in labels]
        prompts = [each.replace("{}", name) for name in firsts for each in templates]
        embedded = clip.encode_text(prompts).unflatten(0, (len(labels), len(templates)))
        weights = functional.normalize(embedded.mean(1), dim=-1)
        return cls(clip.image, weights, clip.logit_scale.exp(), clip.logit_bias, labels)

    @property
    def n_outputs(self) -> int:
        return len(self.weights)

    def forward(
        self, images: Float[Tensor, "images channels rows columns"]
    ) -> Float[Tensor, "images labels"]:
        """Logits of preprocessed images."""
        return self.logits(self.image(images))

    def logits(self, embeddings: Float[Tensor, "images d_embed"]) -> Float[Tensor, "images labels"]:
        """Logits of embeddings, which need not be normalized."""
        embeddings = functional.normalize(embeddings, dim=-1)
        return embeddings @ self.weights.T * self.scale + self.bias

    def target(self, what: Any, minus: Any = None, *, name: str | None = None) -> Target:
        """What is explained of an image, in terms of the classes.

        The target belongs to the image tower and takes its output: `target(clip.image(images))`,
        `target.readout(cache)` for a run of `clip.image`.

        Args:
            what: As in `HookedViT.target`, with these classes: a name or index, a tuple, a list,
                a vector over the classes, or a function `logits -> [images]`.
            minus: What to subtract, in the same forms.
            name: How reports call it.
        """
        about = question(self, what, minus, name)
        if about.function is not None:
            return Target(about.name, self.image, function=_Through(self, about))
        assert about.coefficients is not None
        on_classes = about.coefficients.to(self.weights)
        return Target(
            about.name,
            self.image,
            on_classes @ self.weights * self.scale,
            constant=on_classes.sum(-1) * self.bias,
            normalizes=True,
        )


class _Through:
    """A metric of logits as one of embeddings."""

    def __init__(self, classifier: ZeroShotClassifier, about: Question) -> None:
        self.classifier, self.about = classifier, about

    def __call__(self, embeddings: Tensor) -> Tensor:
        assert self.about.function is not None
        return self.about.function(self.classifier.logits(embeddings))


def prompt_target(clip: "HookedCLIP", what: Any, minus: Any, name: str | None) -> Target:
    """A target that reads an image by texts, or by embeddings."""
    asked = list(dict.fromkeys([*_asked(what), *_asked(minus)]))
    with torch.no_grad():
        rows = [_direction(clip, each) for each in asked]
    if not rows:
        raise ValueError(
            f"A target must be a text, an embedding, or a tuple or list of them; got {what!r}. "
            "Use `clip.image.target` for other targets of the image tower."
        )
    names = [each if isinstance(each, str) else "embedding" for each in asked]
    labels, scale = ClassNames(tuple(names)), clip.logit_scale.exp()
    classifier = ZeroShotClassifier(clip.image, torch.stack(rows), scale, clip.logit_bias, labels)
    subtracted = None if minus is None else _places(minus, asked)
    return classifier.target(_places(what, asked), subtracted, name=name)


def _direction(clip: "HookedCLIP", asked: "str | Tensor") -> Float[Tensor, " d_embed"]:
    if isinstance(asked, str):
        return clip.encode_text([asked])[0]
    if asked.shape != (clip.image.n_outputs,):
        raise ValueError(
            f"An embedding as target must have {clip.image.n_outputs} entries; got shape "
            f"{list(asked.shape)}. Pass one row of `clip.encode_text(texts)`."
        )
    return functional.normalize(asked.to(clip.placement), dim=-1)


def _asked(what: Any) -> "Iterator[str | Tensor]":
    """The texts and embeddings in a target."""
    if isinstance(what, tuple | list):
        for each in what:
            yield from _asked(each)
    elif isinstance(what, str) or (isinstance(what, Tensor) and what.is_floating_point()):
        yield what
    elif what is not None:
        raise TypeError(
            f"A target of a CLIP must be a text, an embedding, or a tuple or list of them; got "
            f"{type(what).__name__}. Use `clip.image.target` for other targets."
        )


def _places(what: Any, asked: "list[str | Tensor]") -> Any:
    """The same target, with a number in the place of each text or embedding."""
    if isinstance(what, tuple | list):
        return type(what)(_places(each, asked) for each in what)
    return next(i for i, each in enumerate(asked) if each is what or _same_text(each, what))


def _same_text(one: "str | Tensor", other: "str | Tensor") -> bool:
    return isinstance(one, str) and isinstance(other, str) and one == other
