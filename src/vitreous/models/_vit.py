"""The glass vision transformer."""

import copy
import importlib
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.data import ClassNames, Preprocessing
from vitreous.models._clips import clips_of
from vitreous.models._config import HookedViTConfig
from vitreous.models._embedding import Embedding
from vitreous.models._grid import grid_for, has_fixed_tokens, layout_of
from vitreous.models._layout import TokenLayout
from vitreous.models._positions import Layout
from vitreous.models._rotary import Rotary
from vitreous.models._transformer import GlassTransformer


class HookedViT(GlassTransformer):
    """A vision transformer with every intermediate value on show.

    Hook points are named as in TransformerLens (`blocks.3.attn.hook_pattern`); `hook_names()`
    lists them in forward order. Nobody pays for a point that nobody watches: the pass is fused
    attention and fused norms, and only a layer in which scores or pattern are watched computes
    them.

    Attributes:
        cfg: Shape and parts.
        layout: Where tokens are, at the configured image size.
        labels: Class names; None where nobody knows them.
        preprocessing: From an image file to the tensor that the model was trained on.
        card: What is known of the weights: name, source, hash, accuracy.
        means: Average activations over the training data, for mean ablation.
    """

    takes: ClassVar = "images"
    format: ClassVar = "vitreous-vit"
    cfg: HookedViTConfig
    layout: TokenLayout
    embedding: Embedding

    def __init__(
        self,
        cfg: HookedViTConfig,
        *,
        labels: ClassNames | None = None,
        preprocessing: Preprocessing | None = None,
        stem: nn.Module | None = None,
    ) -> None:
        if (stem is not None) != cfg.stem:
            raise ValueError(
                "`stem` must be given where the configuration says so, and only there; got "
                f"`cfg.stem={cfg.stem}` and {type(stem).__name__}. Pass both or neither."
            )
        rotary = Rotary(cfg) if cfg.attention.rotary is not None else None
        super().__init__(cfg, Embedding(cfg, stem), layout_of(cfg, cfg.places), rotary)
        self.labels, self.preprocessing = labels, preprocessing

    @classmethod
    def from_pretrained(cls, name: Any, **how: Any) -> "HookedViT":
        """The same as `vitreous.load(name, tower="image", **how)`."""
        # `load` makes HookedViTs, so it lies above this module.
        return importlib.import_module("vitreous.models").load(name, tower="image", **how)

    def preprocess(self, image: Any) -> Float[Tensor, "batch *frames channels rows columns"]:
        """One image or many, as a batch that the model takes, on its device and in its dtype.

        Args:
            image: A path, a PIL image, a uint8 array `[rows, columns, 3]`, or a list of them. Of
                clips a list of such frames, or a uint8 array `[frames, rows, columns, 3]`, or
                a list of clips; each frame is prepared as an image is.
        """
        if self.preprocessing is None:
            raise ValueError(
                "`preprocess` needs to know how the model's images were prepared; got a model "
                "without `preprocessing`. Set `model.preprocessing = vt.data.Preprocessing(...)`."
            )
        if not self.cfg.takes_clips:
            return self.preprocessing(image).to(self.placement)
        clips = clips_of(image, self.cfg.n_frames)
        frames = self.preprocessing([frame for clip in clips for frame in clip])
        return frames.unflatten(0, (len(clips), self.cfg.n_frames)).to(self.placement)

    def layout_for(self, inputs: Float[Tensor, "..."]) -> TokenLayout:
        """Where tokens are in a pass on these images."""
        grid = grid_for(self.cfg, inputs)
        return self.layout if grid == self.cfg.places else layout_of(self.cfg, grid)

    def layout_of_stream(self, resid: Float[Tensor, "batch tokens d_model"]) -> TokenLayout:
        """The layout of a stream, which tells no more of another size than how many patches."""
        if resid.shape[1] == self.layout.n_tokens:
            return self.layout
        grid = (1, 1, resid.shape[1] - self.layout.n_prefix)
        return layout_of(self.cfg, grid, has_grid=False)

    def layout_from_json(self, plain: dict[str, Any]) -> TokenLayout:
        return layout_of(self.cfg, tuple(plain["grid"]), has_grid=plain["has_grid"])

    def random_inputs(self, count: int, generator: torch.Generator) -> Tensor:
        frames = (self.cfg.n_frames,) if self.cfg.takes_clips else ()
        shape = (count, *frames, self.cfg.n_channels, *self.cfg.image_shape)
        return torch.randn(shape, generator=generator).to(self.placement)

    def like(self, cfg: HookedViTConfig) -> Self:
        stem = copy.deepcopy(self.embedding.patch) if cfg.stem else None
        return type(self)(cfg, labels=self.labels, preprocessing=self.preprocessing, stem=stem)

    def describe(self) -> dict[str, Any]:
        if self.cfg.stem:
            raise ValueError(
                "`save_pretrained` needs a model that its configuration describes; got one with a "
                "stem of another library. Save the model that it was converted from."
            )
        about = {"labels": self.labels, "preprocessing": self.preprocessing}
        plain = {name: None if each is None else each.to_json() for name, each in about.items()}
        return {"config": self.cfg.to_dict(), **plain}

    @classmethod
    def described(cls, about: dict[str, Any]) -> Self:
        labels, how = about.get("labels"), about.get("preprocessing")
        return cls(
            HookedViTConfig.from_dict(about["config"]),
            labels=None if labels is None else ClassNames.from_json(labels),
            preprocessing=None if how is None else Preprocessing.from_json(how),
        )

    def _require_stream(self, x: Tensor, layout: Layout | None) -> None:
        super()._require_stream(x, layout)
        if has_fixed_tokens(self.cfg) and x.shape[1] != self.layout.n_tokens:
            raise ValueError(
                f"The stream must have {self.layout.n_tokens} tokens, since attention of this "
                f"model depends on their places; got {x.shape[1]}. Keep all tokens."
            )
