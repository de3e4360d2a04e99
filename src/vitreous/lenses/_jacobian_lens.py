"""The Jacobian lens: what the stream at a layer pushes the end toward, on average."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._averaging import averaged_jacobians
from vitreous.lenses._fitted_lens import FittedLens
from vitreous.lenses._groups import Groups, groups_of, tokens_of
from vitreous.lenses._lens_files import below, load_lens, save_lens
from vitreous.lenses._reader import Reader
from vitreous.lenses._tuning import Classifier
from vitreous.models import TokenLayout, weight_hash


@dataclass(frozen=True)
class JacobianLens(FittedLens):
    """Reads the stream of a layer by its mean linear effect on the last one.

    With `f` the last stream, averaged over the tokens that the head reads, and `h_t` the stream of
    a token at layer l, the map of a group of tokens is

        J = mean over images of (sum over tokens t of the group of  d f / d h_t)

    and says, to first order, how the end moves when all tokens of the group move alike. It is
    causal where the tuned lens correlates, and has a meaning for patches that a class token's head
    never reads: what they will have told it. A token is read by

        f_mean + J (h - h_mean)

    the expansion around the means of `f` and of the group's tokens, which knows the size of what it
    adds; `centered=False` reads `J h`. The mean over images hides what differs between them: heads
    that attend elsewhere, neurons that are on and off.

    `lens(model, images)` gives the Dataset that `logit_lens` gives. Behind the last block nothing
    is translated.

    Attributes:
        jacobians: `J` of each group, `[layers, d_model, d_model]`, from the embedding to the last
            layer but one.
        stream_means: `h_mean` of each group, `[layers, d_model]`.
        final_mean: `f_mean`.
        centered: Whether a token is read around the means.
        model_weights: Hash of the model that it was fitted for; None where nobody knows.
        about: How it was fitted, in plain values.

    References:
        Gurnee et al., "Verbalizable Representations Form a Global Workspace in Language Models",
        2026. Departs from it: images have no order, so all tokens that the head reads are aimed
        at; groups of tokens have maps of their own; the sum over a group stands for the mean, and
        the mean over what is aimed at for the sum, a positive factor in each group that a final
        norm removes where `centered` is off; and there the paper stops.
    """

    kind: ClassVar = "jacobian"

    jacobians: dict[str, Tensor]
    stream_means: dict[str, Tensor]
    final_mean: Tensor
    centered: bool
    model_weights: str | None
    about: dict[str, Any]

    @classmethod
    def fit(
        cls,
        model: Classifier,
        images: Float[Tensor, "batch *frames channels rows columns"] | Images,
        *,
        groups: Groups = "separate",
        to: Any = "readout",
        centered: bool = True,
        batch_size: int = 32,
    ) -> Self:
        """Averages the Jacobians over a data set; exact, in one backward pass per dimension.

        All layers and tokens share a backward pass, and no image's Jacobian is held.

        Args:
            model: A classifier, or `clip.zero_shot(names)`.
            images: Preprocessed images, or a data set. Some hundred are plenty.
            groups: `"separate"` maps for class, distillation, register and patch tokens, or one
                for all tokens `"together"`.
            to: The tokens of the last stream that `f` is the mean of, as `TokenLayout.select` takes
                them. Pooling by attention reads them by weights of its own.
            centered: Reads around the means.
            batch_size: Images whose graph is held at a time.

        Raises:
            ValueError: No images, or a model without a head.
        """
        tower = Reader.of(model, None).tower
        names = groups_of(tower.layout, groups)
        sums = averaged_jacobians(tower, images, names, to, batch_size)
        about = {
            "model": tower.card.get("name"),
            "images": len(images),
            "groups": groups,
            "to": to if isinstance(to, str | int | list) else repr(to),
        }
        return cls(
            sums.jacobians,
            sums.stream_means,
            sums.final_mean,
            centered,
            weight_hash(model),
            about,
        )

    def translate(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The stream behind block `layer` (-1 is the embedding), as its effect on the last one."""
        parts = []
        for group, chosen in tokens_of(layout, self.jacobians).items():
            jacobians = self.jacobians[group].to(resid.device)
            if layer == len(jacobians) - 1:  # the last block has no map
                return resid
            mine = resid[:, chosen].to(jacobians.dtype)
            if self.centered:
                mine = mine - self.stream_means[group][layer + 1].to(resid.device)
            part = mine @ jacobians[layer + 1].mT
            parts.append(part + self.final_mean.to(resid.device) if self.centered else part)
        return torch.cat(parts, 1).to(resid.dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the lens as safetensors, whole or not at all."""
        tensors = {f"jacobian.{group}": value for group, value in self.jacobians.items()}
        tensors |= {f"mean.{group}": value for group, value in self.stream_means.items()}
        facts = {"model_weights": self.model_weights, "centered": self.centered}
        tensors["final_mean"] = self.final_mean
        save_lens(path, self.kind, tensors, {**facts, "about": self.about})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
            WeightsError: It isn't there, isn't whole, or is something else.
        """
        tensors, facts = load_lens(path, cls.kind)
        jacobians, means = (below(prefix, tensors) for prefix in ("jacobian.", "mean."))
        return cls(jacobians, means, tensors["final_mean"], **facts)
