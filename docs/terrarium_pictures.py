"""Draws the pictures of terrarium.md: `python docs/terrarium_pictures.py`."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vitreous.terrarium import (
    KINDS,
    MARK_TASKS,
    SAMPLE_SCENES,
    TASKS,
    WORLD_KINDS,
    Background,
    CompiledModel,
    Light,
    Scene,
    Task,
    Thing,
    compiled_models,
    contact_sheet,
    counterfactual,
    render,
    sample,
    sample_scene,
)
from vitreous.terrarium._sheet import tiled

FOLDER = Path(__file__).with_name("_static") / "terrarium"
COLORS = np.array(
    [(242, 146, 54), (82, 152, 226), (112, 186, 78), (226, 62, 58), (160, 112, 206),
     (252, 210, 66),
     (246, 158, 182), (60, 170, 170), (162, 108, 70), (150, 156, 170), (52, 128, 62),
     (104, 66, 156)],
    np.uint8,
)  # fmt: skip


def save(sheet: Image.Image, name: str) -> None:
    sheet.save(FOLDER / f"{name}.jpg", quality=88, optimize=True)


def all_kinds() -> Image.Image:
    pictures = []
    for name in WORLD_KINDS:
        thing = Thing(name, 500, 500, 860, KINDS[name].palettes[0])
        light = Light(strength=8)
        pictures.append(render(Scene((thing,), Background("paper", texture=6), light=light)).image)
    return tiled(pictures, WORLD_KINDS, 7)


def painted(masks: np.ndarray) -> np.ndarray:
    """Masks in a color each, on white."""
    picture = np.full((*masks.shape[1:], 3), 255, np.uint8)
    for i, mask in enumerate(masks):
        picture[mask] = COLORS[i % len(COLORS)]
    return picture


def truth() -> Image.Image:
    made = render(sample("kinds", "test", 1217), 192)
    covered = np.kron(made.coverage(8, 8)[0], np.ones((24, 24)))
    pictures = [
        made.image,
        painted(made.object_masks),
        painted(made.full_masks[:1]),
        painted(made.part_masks),
        (255 - covered[..., None] * (255 - COLORS[0])).astype(np.uint8),
    ]
    titles = ("picture", "visible objects", "main object in full", "parts", "coverage")
    return tiled(pictures, titles, 5)


def pairs() -> Image.Image:
    scene = sample("kinds", "test", 1217)
    others = {
        "as it is": scene,
        "as a dog": counterfactual(scene, kind="dog"),
        "on water": counterfactual(scene, setting="water"),
        "gray": counterfactual(scene, palette="gray"),
        "to the left": counterfactual(scene, x=330),
        "mirrored": counterfactual(scene, mirrored=True),
    }
    return tiled([render(s, 160).image for s in others.values()], tuple(others), 6)


def samples() -> Image.Image:
    pictures = [render(sample_scene(name), 192).image for name in SAMPLE_SCENES]
    return tiled(pictures, [name.replace("-", " ") for name in SAMPLE_SCENES], 3)


def compiled(item: CompiledModel) -> Image.Image:
    """Four pairs, clean and corrupt, with what the model answers."""
    images = torch.stack(item.pairs(4), 1).flatten(0, 1)
    answers = [item.model.labels[i] for i in item.model(images).argmax(-1).tolist()]
    levels = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return tiled([np.kron(each, np.ones((6, 6, 1), np.uint8)) for each in levels], answers, 8)


def marks() -> Image.Image:
    """Four pictures of each task of marks, with their answers."""
    pictures, titles = [], []
    for task in MARK_TASKS.values():
        for index in range(4):
            label = int(task.answer(task.symbols("test", index)[None]))
            pictures.append(np.kron(task.picture("test", index), np.ones((6, 6, 1), np.uint8)))
            titles.append(f"{task.name} {task.labels.names[label]}")
    return tiled(pictures, titles, 4)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    save(all_kinds(), "all")
    save(truth(), "truth")
    save(pairs(), "pairs")
    save(samples(), "samples")
    save(marks(), "marks")
    for name in TASKS:
        task = Task(name, "all" if name == "sprites" else "test")
        step = len(task) // 16 + 1 if name == "sprites" else 1
        save(contact_sheet(task, [i * step for i in range(16)]), name)
    for item in compiled_models():
        save(compiled(item), f"compiled-{item.name}")


if __name__ == "__main__":
    main()
