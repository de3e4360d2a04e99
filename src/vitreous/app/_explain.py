"""The work behind `vitreous explain`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitreous._errors import UnsupportedModelError
from vitreous.app._samples import find_sample, sample_for
from vitreous.data import Images
from vitreous.hooks import Means
from vitreous.models import HookedCLIP, HookedViT, ZeroShotClassifier, image_tower, load
from vitreous.report import explain
from vitreous.training import means


def write_report(
    image: Path | None,
    sample_name: str | None,
    model_name: str,
    target: str | None,
    minus: str,
    weights: Path | None,
    reference: Path | None,
    labels: Sequence[str],
    file: Path,
) -> list[str]:
    """Explains a prediction in a report, and returns what to say of it."""
    if image is not None and sample_name is not None:
        raise ValueError(
            f"IMAGE or `--sample` must be given, not both; got `{image}` and {sample_name!r}. "
            "Leave one of them out."
        )
    named = None if sample_name is None else find_sample(sample_name)
    model = _classifier(load(model_name, weights=weights), model_name, labels)
    tower = image_tower(model)
    page = explain(
        model,
        image or sample_for(tower, named, model_name).picture,
        target=None if target is None else _class(model, target),
        minus=minus if minus in ("none", "runner-up") else _class(model, minus),
        reference=None if reference is None else _means_over(tower, reference),
    )
    page.save(file)
    return [f"Image: {page.provenance.image}", f"Prediction: {page.prediction}"]


def _classifier(model: Any, name: str, labels: Sequence[str]) -> HookedViT | ZeroShotClassifier:
    """The model itself; of one of images and texts, what chooses from these classes."""
    if isinstance(model, HookedCLIP):
        if not labels:
            raise ValueError(
                f"`{name}` compares images with texts, and must be told what to choose from; got "
                "no `--label`. Pass some: `--label cat --label dog`."
            )
        return model.zero_shot(labels)
    if labels:
        raise ValueError(
            f"`--label` is for models of images and texts; got {labels[0]!r} for `{name}`, which "
            "has classes of its own. Leave it out."
        )
    if not isinstance(model, HookedViT):
        raise UnsupportedModelError(
            f"`{name}` must be a model of images; got a {type(model).__name__}. Choose another."
        )
    return model


def _class(model: HookedViT | ZeroShotClassifier, text: str) -> str | int:
    named = model.labels is not None and text in model.labels
    return int(text) if text.isdecimal() and not named else text


def _means_over(model: HookedViT, folder: Path) -> Means:
    if model.preprocessing is None:
        raise UnsupportedModelError(
            f"`--reference {folder}` needs a model that says how its images are prepared; "
            "got one without `preprocessing`. Leave the option out."
        )
    images = Images.from_folder(folder, model.preprocessing)
    whose = f"the mean over the {len(images)} images in {folder}, position by position"
    return means(model, images, "blocks.*.attn.hook_z", by="position", description=whose)
