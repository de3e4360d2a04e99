"""Writes a page for each shipped model, from what lies in its folder, before Sphinx reads."""

import math
import shutil
from pathlib import Path
from typing import Any

import torch
from card_picture import card_picture
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sphinx.application import Sphinx

import vitreous as vt
from vitreous.data import sample
from vitreous.models import HookedViT, shipped_folder, shipped_models
from vitreous.terrarium import MARK_TASKS, TASKS, Task

HERE = Path(__file__).parent
PAGES = HERE / "models"
SCENE, PICTURE = 1053, 3
# The splits that the models of `kinds` have in common, and those of models with a shortcut.
SPLITS = {
    "test": "pictures that it was not trained on",
    "gray": "new scenes without color",
    "cluttered": "new scenes whose main object is smaller, among four to six others",
    "typographic": "new scenes with a misleading word painted on",
}
SPLITS_OF_SHORTCUTS = {
    "at home": "new scenes, each thing where its kind is at home",
    "elsewhere": "the same things, none of them at home",
    "none": "new scenes without a word",
    "matching": "the same scenes with the right word painted on",
    "misleading": "the same scenes with a wrong word painted on",
}


def write_pages(app: Sphinx) -> None:
    """Makes `docs/models/` anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir()
    cards = [card(name) for name in shipped_models()]
    pages = Environment(
        loader=FileSystemLoader(HERE / "_templates"), undefined=StrictUndefined, trim_blocks=True
    )
    _write(
        "index",
        pages.get_template("models.md").render(
            cards=cards, splits=SPLITS, shortcuts=SPLITS_OF_SHORTCUTS
        ),
    )
    for each in cards:
        _write(each["name"], pages.get_template("model_card.md").render(each))


def _write(name: str, text: str) -> None:
    (PAGES / f"{name}.md").write_text(text, encoding="utf-8")


def card(name: str) -> dict[str, Any]:
    """All that a page tells of a model."""
    model, folder = vt.load(name), shipped_folder() / name
    pixels, truth, what = _example(model)
    return {
        **model.card,
        "cfg": model.cfg,
        "shape": shape(model),
        "parameters": sum(each.numel() for each in model.parameters()),
        "kilobytes": {file.name: file.stat().st_size / 1000 for file in folder.glob("*.*")},
        "labels": model.labels,
        "results": [_result(split, found, model) for split, found in model.card["tests"].items()],
        "chance": 1 / len(model.labels.names),
        "preprocessing": model.preprocessing,
        "means": model.means,
        "checkpoints": _checkpoints(folder),
        "task": MARK_TASKS.get(name.removeprefix("circuit-")),
        "picture": card_picture(model, pixels, truth),
        "example": what,
    }


def shape(model: HookedViT) -> str:
    """What tells it from the others, in a few words."""
    cfg = model.cfg
    rows, columns = cfg.grid
    words = (
        f"{cfg.n_layers} layer{'s' if cfg.n_layers > 1 else ''}",
        "no MLPs" if cfg.attn_only else "",
        "mean-pooled" if cfg.pooling.kind == "mean" else "",
        f"{rows} × {columns} patches" if (rows, columns) != (8, 8) else "",
    )
    return ", ".join(filter(None, words))


def _example(model: HookedViT) -> tuple[torch.Tensor, str, str]:
    """A picture that it wasn't trained on: prepared, what it is, and where it comes from."""
    if model.cfg.n_channels == 1:
        return model.preprocess(sample("digit")), "seven", "The sample `digit`"
    if (marks := MARK_TASKS.get(model.card["name"].removeprefix("circuit-"))) is not None:
        label = int(marks.answer(marks.symbols("test", PICTURE)[None]))
        pixels = model.preprocess(marks.picture("test", PICTURE))
        return pixels, model.labels.names[label], f"Picture {PICTURE} of the test split"
    own = model.card["name"].removeprefix("terrarium-")
    task = own if own in TASKS else "kinds"
    picture, label = Task(task, "test")[SCENE]
    same = ", the same for all its models" if task == "kinds" else ""
    where = f"Scene {SCENE} of the test split of `{task}`{same}"
    return model.preprocess(picture), model.labels.names[label], where


def _result(split: str, found: dict[str, Any], model: HookedViT) -> dict[str, Any]:
    part, count = found["accuracy"], found["images"]
    return {
        "split": split,
        "about": (SPLITS | SPLITS_OF_SHORTCUTS)[split],
        "images": count,
        "accuracy": part,
        "bound": 1.96 * math.sqrt(part * (1 - part) / count),
    }


def _checkpoints(folder: Path) -> list[int]:
    return sorted(int(file.stem) for file in folder.glob("checkpoints/*.safetensors"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
