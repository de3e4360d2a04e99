"""A recipe, and the model that it makes from nothing."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from vitreous.data import ClassNames, Images, Preprocessing
from vitreous.hooks import Means
from vitreous.models import HookedViT, HookedViTConfig, as_stored, kept_steps, load, weight_hash
from vitreous.training._batches import Augmentation, unchanged
from vitreous.training._fit import accuracy, fit
from vitreous.training._logs import Log, Progress
from vitreous.training._losses import Loss, cross_entropy
from vitreous.training._means import means
from vitreous.training._plan import Plan, log_spaced
from vitreous.training._run_folder import RunFolder
from vitreous.training._state import first_difference
from vitreous.training._trainer import (
    entered_by_main,
    is_main_process,
    new_accelerator,
    require_seed,
)

Measure = Callable[[HookedViT, Images], float]
"""Something that is measured of a trained model on pictures with labels."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a trained model depends on, but for the seed.

    Attributes:
        name: Of the model.
        about: The data in one line, for the card.
        config: Shape of the model.
        preprocessing: How its pictures are prepared.
        labels: Its classes.
        images: Reads the pictures of a split: "train", or one of `tests`.
        plan: How it is trained.
        tests: Splits on which its accuracy is measured for the card; the first is the usual one.
        measures: What else is measured there, by the name that the card has for it.
        augment: Of training batches.
        loss: What it makes small.
        position_std: Of the positions at the start. At the usual 0.02, half of a short training
            goes by before attention can tell patches apart by their place.
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
    images: Callable[[str], Images]
    plan: Plan
    tests: tuple[str, ...] = ("test",)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    augment: Augmentation = unchanged
    loss: Loss = cross_entropy
    position_std: float = 0.1
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
            recipe and seed there goes on, and makes the same model; a finished one is loaded.
        checkpoints: Keep weights in `folder` at steps that double, for
            `vt.load(folder, checkpoint=STEP)`.
        logs: Are told how it goes.

    Raises:
        MissingDependencyError: The extra `ml` isn't installed.
        OSError: `folder` holds something else, or another process trains there.
        ValueError: A seed that can't be.
        WeightsError: `folder` holds a training that isn't whole, or another one.
    """
    images, accelerator = recipe.images("train"), new_accelerator()
    n_steps = recipe.plan.n_steps(len(images))
    if folder is not None and checkpoints:
        folder = replace(folder, checkpoints=log_spaced(n_steps))
    if folder is not None and (about := folder.finished) is not None:
        _require_same(about, recipe, seed, n_steps, folder)
        return load(folder.path)
    with entered_by_main(accelerator, folder.claim if folder else nullcontext()):
        model = _trained(recipe, images, seed, folder, logs)
        if folder is not None and is_main_process():
            folder.finish(model)
    return model


def _trained(
    recipe: Recipe, images: Images, seed: int, folder: RunFolder | None, logs: Iterable[Log]
) -> HookedViT:
    model = new_model(recipe, seed)
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
    return model


def _require_same(
    about: dict[str, Any], recipe: Recipe, seed: int, n_steps: int, folder: RunFolder
) -> None:
    """Raises where a finished training isn't the one that is asked for."""
    wanted = {**recipe.identity, "seed": seed, "steps": n_steps}
    wanted["pictures"] = n_steps * recipe.plan.batch_size
    found = {name: about[name] if name in about else about["card"].get(name) for name in wanted}
    if folder.checkpoints:
        wanted["checkpoints"], found["checkpoints"] = (
            list(folder.checkpoints),
            kept_steps(folder.path),
        )
    different = first_difference(json.loads(json.dumps(wanted)), found)
    if different:
        raise OSError(
            f"`{folder.path}` must be new or empty, or hold a training with {different}, finished. "
            "Choose another path."
        )


def _means_for_ablation(model: HookedViT, recipe: Recipe, images: Images) -> Means:
    images = images if recipe.n_means is None else images.subset(slice(recipe.n_means))
    whose = (
        f"the mean over the {len(images)} training images of {recipe.name}, position by position"
    )
    return means(model, images, "*.hook_z", by="position", description=whose)


def _card(model: HookedViT, recipe: Recipe, done: Progress) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "recipe": recipe.name,
        "data": recipe.about,
        **({} if recipe.plan.epochs is None else {"epochs": done.epoch}),
        "steps": done.step,
        "pictures": done.step * recipe.plan.batch_size,
        "threads": recipe.threads,
        "training_loss": round(done.loss, 4),
        "trained_weight_hash": weight_hash(model),
        "tests": {
            split: _tested(model, recipe.images(split), recipe.measures) for split in recipe.tests
        },
    }


def _tested(model: HookedViT, images: Images, measures: Mapping[str, Measure]) -> dict[str, Any]:
    measured = {name: measure(model, images) for name, measure in measures.items()}
    found = {"accuracy": accuracy(model, images), **measured}
    return {"images": len(images), **{name: round(part, 4) for name, part in found.items()}}


def new_model(recipe: Recipe, seed: int) -> HookedViT:
    """The untrained model of a recipe."""
    require_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HookedViT(recipe.config, labels=recipe.labels, preprocessing=recipe.preprocessing)
        if model.embedding.pos is not None:
            torch.nn.init.normal_(model.embedding.pos, std=recipe.position_std)
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
    model.load_state_dict(as_stored(model.state_dict(), torch.float16))
