"""The models that we ship, each as the recipe that makes it from nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from vitreous._errors import unknown
from vitreous.data import (
    DIGIT_NAMES,
    DIGIT_PREPROCESSING,
    ClassNames,
    Images,
    Preprocessing,
    digits,
)
from vitreous.models import HookedViT, HookedViTConfig, weight_hash
from vitreous.training._augmentations import Shift
from vitreous.training._fit import Augmentation, Plan, Progress, accuracy, fit
from vitreous.training._means import means


@dataclass(frozen=True)
class Recipe:
    """Everything that a trained model depends on, but for the seed.

    Attributes:
        name: Of the model.
        about: The data in one line, for the card.
        config: Shape of the model.
        preprocessing: How its pictures are prepared.
        labels: Its classes.
        images: Reads the split "train" or "test".
        augment: Of training batches.
        plan: How it is trained.
        threads: Of the CPU. Fixed, because sums depend on it: the same seed gives the same
            weights on one kind of processor, however many cores there are.
    """

    name: str
    about: str
    config: HookedViTConfig
    preprocessing: Preprocessing
    labels: ClassNames
    images: Callable[[Literal["train", "test"]], Images]
    augment: Augmentation
    plan: Plan
    threads: int = 1


RECIPES = {
    "digits": Recipe(
        name="digits",
        about="scikit-learn's handwritten digits, 8 x 8 scans scaled up to 64 x 64",
        config=HookedViTConfig(
            n_layers=4,
            d_model=64,
            n_heads=4,
            d_mlp=256,
            image_size=64,
            patch_size=8,
            n_channels=1,
            n_classes=10,
        ),
        preprocessing=DIGIT_PREPROCESSING,
        labels=DIGIT_NAMES,
        images=digits,
        # One scanned point in each direction; black is what surrounds a scan.
        augment=Shift(
            reach=8, background=-DIGIT_PREPROCESSING.mean[0] / DIGIT_PREPROCESSING.std[0]
        ),
        plan=Plan(epochs=40, batch_size=32, learning_rate=1e-3),
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of a shipped model.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, f"There are: {', '.join(RECIPES)}.")
    return RECIPES[name]


def train(
    recipe: Recipe, *, seed: int = 0, after_epoch: Callable[[Progress], None] | None = None
) -> HookedViT:
    """Makes a model from nothing, with its card and the means of its training data.

    The weights are rounded to float16, in which they ship, before anything is measured.

    Args:
        recipe: What to make.
        seed: Of the initial weights, the order of pictures, and the augmentation.
        after_epoch: Called after every epoch.

    Raises:
        MissingDependencyError: The extra `ml` isn't installed.
    """
    started = time.perf_counter()
    images, model = recipe.images("train"), new_model(recipe, seed)
    augment, plan = recipe.augment, recipe.plan
    with _threads(recipe.threads):
        done = fit(model, images, plan, seed=seed, augment=augment, after_epoch=after_epoch)
    seconds = time.perf_counter() - started
    _round_to_half(model.cpu())
    whose = (
        f"the mean over the {len(images)} training images of {recipe.name}, position by position"
    )
    model.means = means(model, images, "*.hook_z", by="position", description=whose)
    model.card = {"seed": seed, "training_seconds": round(seconds, 1), **_card(model, recipe, done)}
    return model


def _card(model: HookedViT, recipe: Recipe, done: Progress) -> dict[str, Any]:
    test_images = recipe.images("test")
    return {
        "name": recipe.name,
        "recipe": recipe.name,
        "data": recipe.about,
        "epochs": done.epoch,
        "steps": done.step,
        "threads": recipe.threads,
        "training_loss": round(done.loss, 4),
        "trained_weight_hash": weight_hash(model),
        "test_images": len(test_images),
        "test_accuracy": round(accuracy(model, test_images), 4),
    }


def new_model(recipe: Recipe, seed: int) -> HookedViT:
    """The untrained model of a recipe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HookedViT(recipe.config, labels=recipe.labels, preprocessing=recipe.preprocessing)
        # At the usual 0.02, half of a short training goes by before attention can tell patches
        # apart by their place.
        if model.embedding.pos is not None:
            torch.nn.init.normal_(model.embedding.pos, std=0.1)
    return model


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _round_to_half(model: HookedViT) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
