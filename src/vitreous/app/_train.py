"""The work behind `vitreous train`."""

from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from vitreous._whole import made_whole
from vitreous.models import HookedViT
from vitreous.training import Progress, Recipe, find_recipe, train


def write_model(recipe_name: str, folder: Path, seed: int, epochs: int | None) -> float:
    """Trains a model into a new folder and returns its accuracy on the test pictures."""
    recipe = find_recipe(recipe_name)
    if epochs is not None:
        recipe = replace(recipe, plan=replace(recipe.plan, epochs=epochs))
    model = _train_visibly(recipe, seed)
    _save_whole(model, folder)
    return model.card["test_accuracy"]


def _save_whole(model: HookedViT, folder: Path) -> None:
    with made_whole(folder) as beside:
        model.save_pretrained(beside, dtype=torch.float16)


def _train_visibly(recipe: Recipe, seed: int) -> HookedViT:
    with tqdm(total=recipe.plan.epochs, unit="epoch", desc=recipe.name, leave=False) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix(loss=f"{progress.loss:.3f}")
            bar.update()

        return train(recipe, seed=seed, after_epoch=show)
