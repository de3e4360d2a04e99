"""The work behind `vitreous explain`."""

from pathlib import Path

from vitreous._errors import UnsupportedModelError
from vitreous.app._samples import find_sample, sample_for
from vitreous.data import Images
from vitreous.hooks import Means
from vitreous.models import HookedViT, load
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
    file: Path,
) -> list[str]:
    """Explains a prediction in a report, and returns what to say of it."""
    if image is not None and sample_name is not None:
        raise ValueError(
            f"IMAGE or `--sample` must be given, not both; got `{image}` and {sample_name!r}. "
            "Leave one of them out."
        )
    named = None if sample_name is None else find_sample(sample_name)
    model = load(model_name, tower="image", weights=weights)
    page = explain(
        model,
        image or sample_for(model, named, model_name).picture,
        target=None if target is None else _class(model, target),
        minus=minus if minus in ("none", "runner-up") else _class(model, minus),
        reference=None if reference is None else _means_over(model, reference),
    )
    page.save(file)
    return [f"Image: {page.provenance.image}", f"Prediction: {page.prediction}"]


def _class(model: HookedViT, text: str) -> str | int:
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
