"""A model of images and texts: two glass towers whose outputs are compared."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.data import ClassNames, Preprocessing
from vitreous.hooks import Means
from vitreous.models._cache import TransformerCache
from vitreous.models._saving import save_pretrained
from vitreous.models._target import Target
from vitreous.models._text import HookedTextTransformer, Tokenizer
from vitreous.models._vit import HookedViT
from vitreous.models._zero_shot import TEMPLATES, ZeroShotClassifier, prompt_target

_TEXTS_AT_ONCE = 256


class CLIPCaches(NamedTuple):
    """What was seen inside both towers of one run."""

    image: TransformerCache
    text: TransformerCache


class HookedCLIP(nn.Module):
    """An image tower and a text tower, whose normalized embeddings are compared.

    The logit of an image and a text is `logit_scale.exp() * cosine + logit_bias`. Both towers are
    glass transformers with all that these can do: `clip.image.run_with_cache(images)`,
    `clip.text.hook_names()`, `clip.image.intervene(...)`.

    Attributes:
        image: From images to embeddings.
        text: From token ids to embeddings.
        logit_scale: The logarithm of the factor in front of the cosine.
        logit_bias: What is added to every logit; None for nothing.
        card: What is known of the weights.

    References:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
        2021, section 2.3; Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023,
        section 3.2 (the bias).
    """

    format: ClassVar = "vitreous-clip"
    means: Means | None = None

    def __init__(
        self,
        image: HookedViT,
        text: HookedTextTransformer,
        *,
        logit_scale: float = 1.0,
        logit_bias: float | None = None,
    ) -> None:
        """Joins two towers.

        Args:
            image: The image tower.
            text: The text tower.
            logit_scale: The factor in front of the cosine itself.
            logit_bias: What is added to every logit.

        Raises:
            ValueError: Embeddings of two widths, or a factor that isn't positive.
        """
        super().__init__()
        if image.n_outputs != text.n_outputs:
            raise ValueError(
                f"Both towers must embed in one space; got {image.n_outputs} and "
                f"{text.n_outputs} dimensions. Pass the towers of one model."
            )
        if not logit_scale > 0:
            raise ValueError(
                f"`logit_scale` must be the positive factor itself; got {logit_scale}. "
                "Pass its exponential if this is the logarithm."
            )
        self.image, self.text = image, text
        self.card: dict[str, Any] = {}
        like = image.placement
        self.logit_scale = nn.Parameter(like.new_tensor(math.log(logit_scale)))
        self.logit_bias = None if logit_bias is None else nn.Parameter(like.new_tensor(logit_bias))

    @property
    def placement(self) -> Tensor:
        """A parameter, whose device and dtype are those of the model."""
        return self.image.placement

    # ---- the pass

    def forward(
        self, images: Float[Tensor, "images channels rows columns"], texts: Any
    ) -> Float[Tensor, "images texts"]:
        """How well each image fits each text.

        Args:
            images: Preprocessed images.
            texts: Texts, or token ids.
        """
        return self.compare(self.image(images), self.text(self._tokens(texts)))

    def compare(
        self, images: Float[Tensor, "images d_embed"], texts: Float[Tensor, "texts d_embed"]
    ) -> Float[Tensor, "images texts"]:
        """Logits of embeddings, which need not be normalized."""
        images, texts = (functional.normalize(each, dim=-1) for each in (images, texts))
        logits = images @ texts.T * self.logit_scale.exp()
        return logits if self.logit_bias is None else logits + self.logit_bias

    def encode_image(
        self, images: Any, *, normalize: bool = True
    ) -> Float[Tensor, "batch d_embed"]:
        """Embeddings of images `[images, d_embed]`.

        Args:
            images: What `preprocess` takes, or what it gives.
            normalize: Whether each has length one.
        """
        is_ready = isinstance(images, Tensor) and images.is_floating_point()
        embedded = self.image(images if is_ready else self.preprocess(images))
        return functional.normalize(embedded, dim=-1) if normalize else embedded

    def encode_text(self, texts: Any, *, normalize: bool = True) -> Float[Tensor, "batch d_embed"]:
        """Embeddings of texts `[texts, d_embed]`.

        Args:
            texts: One text, several, or token ids.
            normalize: Whether each has length one.
        """
        batches = self._tokens(texts).split(_TEXTS_AT_ONCE)
        embedded = torch.cat([self.text(batch) for batch in batches])
        return functional.normalize(embedded, dim=-1) if normalize else embedded

    def run_with_cache(
        self, images: Float[Tensor, "images channels rows columns"], texts: Any, **how: Any
    ) -> tuple[Float[Tensor, "images texts"], CLIPCaches]:
        """One pass of both towers, and the values inside them.

        Args:
            images: Preprocessed images.
            texts: Texts, or token ids.
            how: Keywords of `HookedModule.run_with_cache`, for both towers.
        """
        embedded, image = self.image.run_with_cache(images, **how)
        said, text = self.text.run_with_cache(self._tokens(texts), **how)
        return self.compare(embedded, said), CLIPCaches(image, text)

    # ---- what goes in

    def preprocess(self, image: Any) -> Float[Tensor, "batch channels rows columns"]:
        """The same as `clip.image.preprocess`."""
        return self.image.preprocess(image)

    def to_tokens(self, texts: str | Sequence[str]) -> Tensor:
        """The same as `clip.text.to_tokens`."""
        return self.text.to_tokens(texts)

    def _tokens(self, texts: Any) -> Tensor:
        return texts if isinstance(texts, Tensor) else self.text.to_tokens(texts)

    # ---- what is explained

    def zero_shot(
        self, names: Sequence[str] | ClassNames, templates: Sequence[str] = TEMPLATES
    ) -> ZeroShotClassifier:
        """A classifier whose classes are described in words.

        Args:
            names: What the classes are called. Of synonyms, divided by commas, the first counts.
            templates: Prompts with `{}` for the name; a class is the normalized mean of the
                normalized embeddings of its prompts.
        """
        return ZeroShotClassifier.of(self, names, templates)

    def target(self, what: Any, minus: Any = None, *, name: str | None = None) -> Target:
        """What is explained of an image: how well it fits a text.

        The value is the logit of that prompt, scale and bias included; a difference of two is the
        difference of their logits.

        Args:
            what: A prompt; a tuple of them, a group (mean logit); a list, one per image; or an
                embedding `[d_embed]`, whose length doesn't count.
            minus: What to subtract, in the same forms.
            name: How reports call it.
        """
        return prompt_target(self, what, minus, name)

    # ---- folders

    def describe(self) -> dict[str, Any]:
        """Plain values from which `described` makes this model again, but for its weights."""
        towers = {"image": self.image.describe(), "text": self.text.describe()}
        return {**towers, "logit_bias": self.logit_bias is not None}

    @classmethod
    def described(cls, about: dict[str, Any]) -> Self:
        """An untrained model of what `describe` gave."""
        return cls(
            HookedViT.described(about["image"]),
            HookedTextTransformer.described(about["text"]),
            logit_bias=0.0 if about["logit_bias"] else None,
        )

    def save_pretrained(self, folder: Any, dtype: torch.dtype | None = None) -> None:
        """Writes `config.json` and `model.safetensors`; the tokenizer isn't part of it."""
        save_pretrained(self, folder, dtype)

    @property
    def preprocessing(self) -> Preprocessing | None:
        return self.image.preprocessing

    @property
    def tokenizer(self) -> Tokenizer | None:
        return self.text.tokenizer
