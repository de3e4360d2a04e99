"""The models that we ship, each as the recipe that makes it from nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from vitreous.hooks import Means
from vitreous.models import HookedViT, HookedViTConfig, weight_hash
from vitreous.training._augmentations import Shift
from vitreous.training._batches import Augmentation
from vitreous.training._fit import accuracy, fit
from vitreous.training._logs import Log, Progress
from vitreous.training._losses import Loss, cross_entropy
from vitreous.training._means import means
from vitreous.training._plan import Plan, log_spaced
from vitreous.training._run_folder import RunFolder
from vitreous.training._trainer import is_main_process


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
        loss: What it makes small.
        n_means: How many of the first training pictures the model's means are taken over; None
            takes all.
        threads: Of the CPU. Fixed, because sums depend on it: the same seed gives the same
            weights on one kind of processor, however many cores there are.
        workers: Processes that read pictures ahead; they change nothing but the time.
    """

    name: str
    about: str
    config: HookedViTConfig
    preprocessing: Preprocessing
    labels: ClassNames
    images: Callable[[Literal["train", "test"]], Images]
    augment: Augmentation
    plan: Plan
    loss: Loss = cross_entropy
    n_means: int | None = None
    threads: int = 1
    workers: int = 0

    @property
    def identity(self) -> dict[str, Any]:
        """What tells its training from others, besides what `fit` knows; plain JSON."""
        return {
            "recipe": self.name,
            "data": self.about,
            "config": self.config.to_dict(),
            "preprocessing": self.preprocessing.to_json(),
            "labels": self.labels.to_json(),
            "threads": self.threads,
        }


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
    recipe: Recipe,
    *,
    seed: int = 0,
    folder: RunFolder | None = None,
    checkpoints: bool = False,
    logs: Iterable[Log] = (),
) -> HookedViT:
    """Makes a model from nothing, with its card and the means of its training data.

    The weights are rounded to float16, in which they ship, before anything is measured.

    Args:
        recipe: What to make.
        seed: Of the initial weights, the order of pictures, and the augmentation.
        folder: Where the training is kept and the model goes. An unfinished training of the same
            recipe and seed there goes on, and makes the same model.
        checkpoints: Keep weights in `folder` at steps that double, for
            `vt.load(folder, checkpoint=STEP)`.
        logs: Are told how it goes.

    Raises:
        MissingDependencyError: The extra `ml` isn't installed.
        OSError: `folder` holds something else.
        WeightsError: `folder` holds a training that isn't whole, or another one.
    """
    images, model = recipe.images("train"), new_model(recipe, seed)
    if folder is not None and checkpoints:
        folder = replace(folder, checkpoints=log_spaced(recipe.plan.n_steps(len(images))))
    with _threads(recipe.threads):
        done = fit(
            model,
            images,
            recipe.plan,
            seed=seed,
            loss=recipe.loss,
            augment=recipe.augment,
            folder=folder,
            identity=recipe.identity,
            logs=logs,
            workers=recipe.workers,
        )
    _round_to_half(model.cpu())
    model.means = _means_for_ablation(model, recipe, images)
    seconds = round(done.seconds, 1)
    model.card = {"seed": seed, "training_seconds": seconds, **_card(model, recipe, done)}
    if folder is not None and is_main_process():
        folder.finish(model)
    return model


def _means_for_ablation(model: HookedViT, recipe: Recipe, images: Images) -> Means:
    images = images if recipe.n_means is None else images.subset(slice(recipe.n_means))
    whose = (
        f"the mean over the {len(images)} training images of {recipe.name}, position by position"
    )
    return means(model, images, "*.hook_z", by="position", description=whose)


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
