"""The tuned lens: an affine map per layer that says how the rest of the model would read on."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._fitted_lens import FittedLens
from vitreous.lenses._groups import Groups, tokens_of
from vitreous.lenses._lens_files import below, load_lens, require_fitted_for, save_lens
from vitreous.lenses._tuned_package import read_params, write_params
from vitreous.lenses._tuning import PLAN, Classifier, Distillation, Toward, tune
from vitreous.models import (
    HookedViT,
    TokenLayout,
    image_tower,
    weight_hash,
)
from vitreous.training import Log, Plan, RunFolder, is_main_process

FILE = "lens.safetensors"


@dataclass(frozen=True)
class TunedLens(FittedLens):
    """Reads the stream of a layer through an affine map to the last one.

    `h + A h + b`, with a map for each layer and group of tokens, is fitted so that what the model
    reads of it is what it says in the end: where the logit lens asks what a layer says in the
    language of the last one, this learns how much of the answer can be read there at all. It is a
    probe, and finds what the model may never use: `evaluate_lens` asks whether it does. Of the
    maps, only what the model's end can read is determined.

    `lens(model, images)` gives the Dataset that `logit_lens` gives. Behind the last block nothing
    is translated.

    Attributes:
        biases: `b` of each group, `[layers, d_model]`, from the embedding to the last layer but
            one.
        weights: `A` of each group, `[layers, d_model, d_model]`; None where there are biases
            alone.
        model_weights: Hash of the model that it was fitted for; None where nobody knows.
        about: How it was fitted, in plain values.

    References:
        Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens", 2023,
        section 3. Departs from it: class, distillation, register and patch tokens have maps of
        their own unless they are asked to share them, and `fit` says what a patch is fitted to.
    """

    kind: ClassVar = "tuned"

    biases: dict[str, Tensor]
    weights: dict[str, Tensor] | None
    model_weights: str | None
    about: dict[str, Any]

    @classmethod
    def fit(
        cls,
        model: Classifier,
        images: Float[Tensor, "batch *frames channels rows columns"] | Images,
        plan: Plan = PLAN,
        *,
        seed: int = 0,
        groups: Groups = "separate",
        toward: Toward = "read",
        bias_only: bool = False,
        folder: RunFolder | None = None,
        logs: Iterable[Log] = (),
        workers: int = 0,
    ) -> "TunedLens":
        """Fits the maps of all layers at once; the model itself runs once per batch.

        A lens is fitted to a distribution over classes, and a token has none unless the model
        reads it. Where it does (a class token, patches under mean pooling), that is what the last
        layer reads of the token itself, as a language model's token has its own prediction. What
        stands in the last stream at other tokens was never read by anyone; such a token is fitted
        to what the model says of the image, so that the lens says how far the token knows the
        answer. `toward` chooses one of the two for all tokens.

        The identity is the beginning (the logit lens), and weight decay pulls toward it. With
        `folder`, a fit that was killed goes on, and ends with the same bits on one CPU; the lens
        lies there as `lens.safetensors`.

        Args:
            model: A classifier, or `clip.zero_shot(names)`. It is moved to the device that
                Accelerate finds, and back.
            images: Preprocessed images, or a data set; labels aren't needed.
            plan: Images per step, learning rate and steps; AdamW.
            seed: Of the order of images.
            groups: `"separate"` maps for class, distillation, register and patch tokens, or one
                for all tokens `"together"`, of which each counts alike.
            toward: `"read"`: tokens that the model reads to their own last layer, others to the
                image's answer. `"own"`, `"image"`: all tokens to the one or the other.
            bias_only: Leaves out `A`.
            folder: Where the fit is kept.
            logs: Told of every tenth step; the loss is the KL in nats, over tokens, layers and
                groups.
            workers: Processes that read images ahead.

        Raises:
            MissingDependencyError: Accelerate isn't installed.
            OSError: `folder` holds something else, or another process fits there.
            ValueError: No images or too few for a batch, a model without a head, or an unknown
                word.
            WeightsError: `folder` holds another fit, or one that isn't whole.
        """
        data = images if isinstance(images, Images) else Images.from_tensor(images)
        loss = Distillation(model, groups, toward)
        about = {
            "model": image_tower(model).card.get("name"),
            "images": len(data),
            "groups": groups,
            "toward": toward,
            "bias_only": bias_only,
            "seed": seed,
            "plan": asdict(plan),
        }
        identity = {"lens": cls.kind, "model_weights": weight_hash(model), **about}
        if folder is not None and (finished := cls._finished(folder, identity)) is not None:
            return finished
        how = {"seed": seed, "folder": folder, "identity": identity}
        maps, done = tune(loss, data, plan, bias_only=bias_only, logs=logs, workers=workers, **how)
        weights = None if maps.weight is None else dict(maps.weight)
        about |= {"loss": done.loss, "seconds": done.seconds}
        lens = cls(dict(maps.bias), weights, identity["model_weights"], about)
        if folder is not None and is_main_process():
            lens._keep(folder)
        return lens

    def translate(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The stream behind block `layer` (-1 is the embedding), as the last one would be."""
        parts = []
        for group, chosen in tokens_of(layout, self.biases).items():
            bias = self.biases[group].to(resid.device)
            if layer == len(bias) - 1:  # the last block has no map
                return resid
            mine = resid[:, chosen].to(bias.dtype)
            part = mine + bias[layer + 1]
            if self.weights is not None:
                part = part + mine @ self.weights[group][layer + 1].to(resid.device).mT
            parts.append(part)
        return torch.cat(parts, 1).to(resid.dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the lens as safetensors, whole or not at all."""
        tensors = {f"bias.{group}": value for group, value in self.biases.items()}
        tensors |= {f"weight.{group}": value for group, value in (self.weights or {}).items()}
        save_lens(
            path, self.kind, tensors, {"model_weights": self.model_weights, "about": self.about}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
            WeightsError: It isn't there, isn't whole, or is something else.
        """
        tensors, facts = load_lens(path, cls.kind)
        biases, weights = (below(prefix, tensors) for prefix in ("bias.", "weight."))
        return cls(biases, weights or None, facts["model_weights"], facts["about"])

    def export(self, folder: str | os.PathLike[str], model: HookedViT) -> None:
        """Writes the lens as the package `tuned-lens` does: `config.json` and `params.pt`.

        Args:
            folder: Made where it doesn't exist.
            model: Who it was fitted for.

        Raises:
            ValueError: Groups of tokens have maps of their own, for which that format has no
                place.
            WeightsError: The lens was fitted for another model.
        """
        require_fitted_for(model, self.model_weights, self.about.get("model"))
        if list(self.biases) != ["all"]:
            raise ValueError(
                "The format of `tuned-lens` needs one map per layer for all tokens; got some for "
                f"{', '.join(self.biases)}. Fit with `groups='together'`, or use `save`."
            )
        weight = None if self.weights is None else self.weights["all"]
        write_params(Path(folder), model, self.biases["all"], weight)

    @classmethod
    def from_package(cls, folder: str | os.PathLike[str], model: HookedViT) -> Self:
        """Reads a folder of the package `tuned-lens`.

        Args:
            folder: With `config.json` and `params.pt`.
            model: Who it was fitted for.

        Raises:
            WeightsError: The folder holds no whole lens, or one for another model.
        """
        biases, weights = read_params(Path(folder), model)
        about = {"model": model.card.get("name"), "groups": "together", "bias_only": False}
        return cls({"all": biases}, {"all": weights}, weight_hash(model), about)

    @classmethod
    def _finished(cls, folder: RunFolder, identity: dict[str, Any]) -> "TunedLens | None":
        """The lens that the same fit has left in a folder."""
        if folder.is_unfinished or not (folder.path / FILE).is_file():
            return None
        lens = cls.load(folder.path / FILE)
        found = {"lens": cls.kind, "model_weights": lens.model_weights, **lens.about}
        for name, wanted in identity.items():
            if found.get(name) != wanted:
                raise OSError(
                    f"`{folder.path}` must be new or empty, or hold a lens with {name} {wanted!r}; "
                    f"got {found.get(name)!r}. Choose another path."
                )
        return lens

    def _keep(self, folder: RunFolder) -> None:
        with folder.claim:
            self.save(folder.path / FILE)
            folder.end()
