"""Writes hashes.json: `python -m tests.terrarium.record_hashes`. Once per world, never to mend."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from vitreous.terrarium import TASKS, Scene, Task, render_image

FILE = Path(__file__).with_name("hashes.json")
PER_SPLIT = 20


def hashed_items() -> Iterator[tuple[str, int, Task, int]]:
    for name, kind in TASKS.items():
        for split, count in kind.splits.items():
            for i in range(PER_SPLIT):
                yield f"{name} {split}", i, Task(name, split, seed=i % 3), i * 7919 % count


def hash_of_scene(scene: Scene) -> str:
    text = json.dumps(scene.to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def hash_of_picture(scene: Scene, size: int = 96) -> str:
    return hashlib.sha256(render_image(scene, size).tobytes()).hexdigest()[:12]


def recorded() -> dict[str, list[str]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def record() -> dict[str, list[str]]:
    hashes: dict[str, list[str]] = {}
    for name, _, task, place in hashed_items():
        scene = task.scene(place)
        hashes.setdefault(name, []).append(f"{hash_of_scene(scene)} {hash_of_picture(scene)}")
    return hashes


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")
