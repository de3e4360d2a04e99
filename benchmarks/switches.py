"""How many heads turn a cat into a dog: a part of `make grades`.

`python -m benchmarks.switches FOLDER ...` reads models in folders, and records nothing.
"""

import sys
from typing import Any

import numpy as np
import torch
import xarray

from benchmarks._results import show, write
from benchmarks._spread import mean_and_error
from benchmarks._zoo import models_of
from vitreous.models import HookedViT
from vitreous.patching import find_switch, switch_generality
from vitreous.terrarium import counterfactual_pairs

PAIRS = 100
DIRECTIONS = {"denoise": "dog -> cat", "noise": "cat -> dog"}
GENERAL = 3


def main(folders: list[str]) -> None:
    """Pairs on which the model says cat of the one and dog of the other."""
    models = models_of(folders, {"terrarium-4l"})
    title = f"The fewest heads found that turn the answer, {PAIRS} pairs of one scene"
    sizes, general = [], []
    for name, model in models.items():
        clean, corrupt = cats_and_dogs(model)
        target = model.target("cat", minus="dog")
        for direction, turn in DIRECTIONS.items():
            found = find_switch(model, clean, corrupt, target, direction=direction)
            sizes.append({"model": name, "turn": turn} | size_row(found))
            reach = switch_generality(model, clean, corrupt, target, found)
            general += general_rows(name, turn, found, reach)
    tables = {title: sizes, f"{title}: the {GENERAL} sets that turn most of the pairs": general}
    show(tables) if folders else write("switches", tables, ("xarray",))


def cats_and_dogs(model: HookedViT) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes of the test split whose main object is a cat, and the same with a dog there."""
    pairs = counterfactual_pairs(3 * PAIRS // 2, kind="cat", to="dog")
    with torch.no_grad():
        said = [model(x).argmax(1) for x in (pairs.clean, pairs.corrupt)]
    assert model.labels is not None
    right = (said[0] == model.labels.find("cat")) & (said[1] == model.labels.find("dog"))
    return pairs.clean[right][:PAIRS], pairs.corrupt[right][:PAIRS]


def size_row(found: xarray.Dataset) -> dict[str, Any]:
    sizes = found["size"].values
    has_one = sizes > 0
    by_layer = found["member"].sum(("pair", "head")).values
    return {
        "pairs": len(sizes),
        "with a switch": int(has_one.sum()),
        "heads, median": f"{np.median(sizes[has_one]):g}",
        "mean": mean_and_error(sizes[has_one], 2),
        "one head is enough, %": f"{100 * (sizes == 1).mean():.0f}",
        "largest": int(sizes.max()),
        "proved smallest": int(found["is_smallest"].sum()),
        "members by layer, %": ", ".join(f"{100 * n / by_layer.sum():.0f}" for n in by_layer),
        "runs per pair": f"{found['runs'].values.mean():.0f}",
    }


def general_rows(
    name: str, turn: str, found: xarray.Dataset, reach: xarray.Dataset
) -> list[dict[str, Any]]:
    best = reach["by_head"].stack(unit=("layer", "head"))
    layer, head = best.unit.values[int(np.argmax(best.values))]
    often = f"L{layer}H{head}, {100 * float(best.max()):.0f}"
    return [
        {
            "model": name,
            "turn": turn,
            "heads": str(reach["switch"].values[i]),
            "turns of the pairs, %": f"{100 * float(reach['rate'][i]):.0f}",
            "found on": int(reach["found_on"][i]),
            "in most sets, %": often,
        }
        for i in range(GENERAL)
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
