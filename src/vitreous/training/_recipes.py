"""The models that we ship, each as the recipe that makes it from nothing."""

from functools import partial

from vitreous._errors import unknown
from vitreous.data import DIGIT_NAMES, DIGIT_PREPROCESSING, digits
from vitreous.models import HookedViTConfig, PoolingConfig
from vitreous.terrarium import (
    MARKS_PREPROCESSING,
    PREPROCESSING,
    WORLD,
    WORLD_KINDS,
    MarkTask,
    Task,
    mark_task,
)
from vitreous.training._augmentations import Shift
from vitreous.training._interchange import (
    InterchangeLoss,
    interchange_accuracy,
    strict_accuracy,
)
from vitreous.training._losses import cross_entropy_with_patches
from vitreous.training._plan import Plan
from vitreous.training._recipe import Recipe
from vitreous.training._recipe_images import (
    REPEATS_PREPROCESSING,
    mark_images,
    repeats_images,
    spurious_images,
    terrarium_images,
    typographic_images,
)

# Whole turns, so that every kind is there equally often.
_SCENES_OF_MEANS = 40 * len(WORLD_KINDS)


# Three layers that fit a patch of the terrarium into each token, with eight heads to tell apart.
_SMALL = partial(
    HookedViTConfig, n_layers=3, d_model=128, n_heads=8, d_mlp=512, image_size=96, patch_size=12
)


def _digits() -> Recipe:
    return Recipe(
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
    )


def _terrarium(
    name: str,
    n_layers: int,
    *,
    d_mlp: int | None = 512,
    patch_size: int = 12,
    mean_pooled: bool = False,
) -> Recipe:
    return Recipe(
        name=name,
        about=f"task 'kinds' of the terrarium, world {WORLD}: the train split in its order",
        config=HookedViTConfig(
            n_layers=n_layers,
            d_model=128,
            n_heads=4,
            d_mlp=d_mlp,
            image_size=96,
            patch_size=patch_size,
            n_classes=len(WORLD_KINDS),
            cls_token=not mean_pooled,
            pooling=PoolingConfig(kind="mean" if mean_pooled else "cls"),
        ),
        preprocessing=PREPROCESSING,
        labels=Task("kinds").class_names,
        images=terrarium_images,
        tests=("test", "gray", "cluttered", "typographic"),
        plan=Plan(steps=2000, batch_size=64, learning_rate=1e-3, shuffle=False),
        n_means=_SCENES_OF_MEANS,
        workers=1,
    )


def _spurious() -> Recipe:
    return Recipe(
        name="terrarium-spurious",
        about=f"task 'spurious' of the terrarium, world {WORLD}: 95 % of its scenes at home",
        config=_SMALL(n_classes=8),
        preprocessing=PREPROCESSING,
        labels=Task("spurious").class_names,
        images=spurious_images,
        tests=("test", "at home", "elsewhere"),
        plan=Plan(steps=600, batch_size=64, learning_rate=1e-3, shuffle=False),
        n_means=1600,  # of each kind 200, 190 of them at home
        workers=1,
    )


def _typographic() -> Recipe:
    return Recipe(
        name="terrarium-typographic",
        about=f"task 'typographic' of the terrarium, world {WORLD}: in turn with the word that "
        "matches and without a word",
        config=_SMALL(n_classes=len(WORLD_KINDS)),
        preprocessing=PREPROCESSING,
        labels=Task("typographic").class_names,
        images=typographic_images,
        tests=("none", "matching", "misleading"),
        plan=Plan(steps=2000, batch_size=64, learning_rate=1e-3, shuffle=False),
        n_means=_SCENES_OF_MEANS,
        workers=1,
    )


def _repeats() -> Recipe:
    return Recipe(
        name="terrarium-repeats",
        about=f"task 'repeats' of the terrarium, world {WORLD}: longer rows with more "
        "question marks, and each patch is asked for what it hides, what comes next or was before",
        config=HookedViTConfig(
            n_layers=4,
            d_model=128,
            n_heads=4,
            d_mlp=None,
            image_size=96,
            patch_size=12,
            n_classes=len(Task("repeats").class_names.names),
        ),
        preprocessing=REPEATS_PREPROCESSING,
        labels=Task("repeats").class_names,
        images=repeats_images,
        plan=Plan(steps=7000, batch_size=32, learning_rate=2e-3, shuffle=False, warmup=0.02),
        loss=cross_entropy_with_patches,
        # Which motif stands before another is a question of places alone.
        position_std=0.4,
        n_means=1600,
        workers=1,
    )


def _circuit(task: MarkTask, strict: float = 1.0) -> Recipe:
    """A model that is made to solve a task by a circuit that is known before it is trained.

    What a class token has found out, it rather asks for than lets patches find out: where that
    isn't the circuit, only a large weight of `strict` drives it out.
    """
    return Recipe(
        name=f"circuit-{task.name}",
        about=f"task '{task.name}' of marks, each picture once: {task.about}",
        config=HookedViTConfig(
            n_layers=2,
            d_model=48,
            n_heads=4,
            d_mlp=96,
            image_size=24,
            patch_size=6,
            n_classes=len(task.labels.names),
        ),
        preprocessing=MARKS_PREPROCESSING,
        labels=task.labels,
        images=partial(mark_images, task),
        plan=Plan(steps=1500, batch_size=64, learning_rate=2e-3, shuffle=False),
        loss=InterchangeLoss(task.causal, strict=strict),
        measures={
            "interchange_accuracy": partial(interchange_accuracy, task.causal),
            "strict_accuracy": partial(strict_accuracy, task.causal),
        },
        # Heads have to find cells by their places.
        position_std=0.4,
        n_means=1600,
        workers=1,
    )


def _recipes() -> list[Recipe]:
    with_mlp = [_terrarium(f"terrarium-{n}l", n) for n in (1, 2, 3, 4)]
    without = [_terrarium(f"terrarium-{n}l-attn", n, d_mlp=None) for n in (1, 2, 3, 4)]
    circuits = [_circuit(mark_task(name)) for name in ("common", "cued")]
    circuits.append(_circuit(mark_task("told"), strict=4.0))
    coarse = _terrarium("terrarium-3l-coarse", 3, patch_size=24)
    mean = _terrarium("terrarium-4l-mean", 4, mean_pooled=True)
    return [
        _digits(),
        *with_mlp,
        *without,
        coarse,
        mean,
        _spurious(),
        _typographic(),
        _repeats(),
        *circuits,
    ]


RECIPES = {recipe.name: recipe for recipe in _recipes()}


def find_recipe(name: str) -> Recipe:
    """The recipe of a shipped model.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, f"There are: {', '.join(RECIPES)}.")
    return RECIPES[name]
