"""A small visual world where the truth is known: scenes, pictures, masks, counterfactuals, tasks.

::

    from vitreous.terrarium import Task, counterfactual, counterfactual_pairs, render, sample

    scene = sample("kinds", "test", 7)
    made = render(scene)
    made.image, made.caption, made.object_masks, made.part_mask("ears"), made.coverage(8, 8)
    as_dog = render(counterfactual(scene, kind="dog"))
    pairs = counterfactual_pairs(64, kind="cat", to="dog")  # clean and corrupt batches
"""

from vitreous.terrarium import kinds as _kinds_of_the_world  # noqa: F401  (registers them)
from vitreous.terrarium import tasks as _tasks_of_the_world  # noqa: F401
from vitreous.terrarium._captions import caption
from vitreous.terrarium._causal_model import CausalModel, Variable
from vitreous.terrarium._compiled import (
    COMPILED_MODELS,
    CompiledModel,
    compiled_model,
    compiled_models,
)
from vitreous.terrarium._counterfactual import counterfactual
from vitreous.terrarium._dataset import PREPROCESSING, Task
from vitreous.terrarium._kinds import KINDS, SHAPES, Kind, kind
from vitreous.terrarium._known_circuit import KnownCircuit
from vitreous.terrarium._mark_tasks import MARK_TASKS, MarkTask, mark_task
from vitreous.terrarium._marks import MARKS_PREPROCESSING
from vitreous.terrarium._pairs import ScenePairs, counterfactual_pairs
from vitreous.terrarium._palettes import PALETTES
from vitreous.terrarium._pen import Pen
from vitreous.terrarium._render import (
    Rendering,
    render,
    render_background,
    render_clip,
    render_image,
)
from vitreous.terrarium._samples import SAMPLE_SCENES, sample_scene
from vitreous.terrarium._scene import SETTINGS, WORLD, Background, Light, Scene, Thing, Words
from vitreous.terrarium._sheet import contact_sheet
from vitreous.terrarium._tasks import SPLITS, TASKS, WORLD_KINDS, sample
from vitreous.terrarium._trained_circuits import (
    TRAINED_CIRCUITS,
    TrainedCircuit,
    trained_circuit,
    trained_circuits,
)
from vitreous.terrarium.tasks._sprites import sprite_factors, sprite_index

__all__ = [
    "COMPILED_MODELS",
    "KINDS",
    "MARKS_PREPROCESSING",
    "MARK_TASKS",
    "PALETTES",
    "PREPROCESSING",
    "SAMPLE_SCENES",
    "SETTINGS",
    "SHAPES",
    "SPLITS",
    "TASKS",
    "TRAINED_CIRCUITS",
    "WORLD",
    "WORLD_KINDS",
    "Background",
    "CausalModel",
    "CompiledModel",
    "Kind",
    "KnownCircuit",
    "Light",
    "MarkTask",
    "Pen",
    "Rendering",
    "Scene",
    "ScenePairs",
    "Task",
    "Thing",
    "TrainedCircuit",
    "Variable",
    "Words",
    "caption",
    "compiled_model",
    "compiled_models",
    "contact_sheet",
    "counterfactual",
    "counterfactual_pairs",
    "kind",
    "mark_task",
    "render",
    "render_background",
    "render_clip",
    "render_image",
    "sample",
    "sample_scene",
    "sprite_factors",
    "sprite_index",
    "trained_circuit",
    "trained_circuits",
]
