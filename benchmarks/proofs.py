"""Proofs that take longer than the tests may: `make proofs`."""

import hashlib
import re
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer

import vitreous as vt
from benchmarks._results import write
from tests.parity.test_timm import distances, randomize, seen_inside
from vitreous._errors import UnsupportedModelError
from vitreous.data import digits
from vitreous.training import RECIPES, accuracy, train

PARITY = 1e-10


def main() -> None:
    write("proofs", {"Proofs": [*parity_rows(), *training_rows()]})


def parity_rows() -> Iterator[dict[str, Any]]:
    """Every timm name of a `VisionTransformer`, two blocks deep, in float64: all values."""
    distance: dict[str, float] = {}
    refused: dict[str, list[str]] = defaultdict(list)
    for name in vision_transformers():
        try:
            distance[name] = parity(name)
        except UnsupportedModelError as error:
            refused[reason(error)].append(name)
    total = len(distance) + sum(map(len, refused.values()))
    wrong = [name for name, far in distance.items() if not far <= PARITY]
    worst = max(distance.values())
    yield row(
        f"timm VisionTransformer names equal to timm in every value (float64, <= {PARITY:g})",
        f"{len(distance) - len(wrong)} of {total}, worst {worst:.1e}",
        not wrong,
    )
    yield row("names that convert and differ", ", ".join(wrong) or "none", not wrong)
    for why, names in sorted(refused.items(), key=lambda item: -len(item[1])):
        yield row(f"refused: {why}", f"{len(names)}: {', '.join(names[:3])}", True)


def vision_transformers() -> Iterator[str]:
    for name in timm.list_models():
        if timm.model_entrypoint(name).__module__ in (
            "timm.models.vision_transformer",
            "timm.models.vision_transformer_hybrid",
            "timm.models.deit",
        ):
            with torch.device("meta"):
                model = timm.create_model(name)
            if isinstance(model, VisionTransformer):
                yield name


def parity(name: str) -> float:
    """The largest distance of any value from timm's, relative to the largest value there."""
    with torch.device("meta"):
        embedding = timm.create_model(name).patch_embed
    is_plain = type(embedding) is PatchEmbed
    size = {"img_size": tuple(3 * side for side in embedding.patch_size)} if is_plain else {}
    source = randomize(timm.create_model(name, depth=2, **size).double().eval())
    model = vt.from_module(source)
    generator = torch.Generator().manual_seed(0)
    shape = (2, model.cfg.n_channels, *model.cfg.image_shape)
    images = torch.randn(shape, generator=generator, dtype=torch.float64)
    return max(distances(model, images, seen_inside(source, images)).values())


def reason(error: UnsupportedModelError) -> str:
    """The feature that a message names, the same for every block."""
    feature = re.search(r"\(([^)]*)\)\. Use", str(error))
    return feature[1] if feature else str(error).partition(". Use")[0]


def training_rows() -> Iterator[dict[str, Any]]:
    """The shipped digits model, made again from nothing."""
    started = time.perf_counter()
    made = train(RECIPES["digits"])
    seconds = time.perf_counter() - started
    shipped = vt.load("digits")
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder, dtype=torch.float16)
        same = digest(Path(folder)) == digest(vt.models.shipped_folder() / "digits")
    score = accuracy(shipped, digits("test"))
    yield row("digits: test accuracy of the shipped weights", f"{score:.4f}", score > 0.97)
    yield row("digits: trained from nothing", f"{seconds:.0f} s", seconds < 300)
    yield row("digits: trained again, the weights' files are the same", str(same), same)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def row(proof: str, result: str, holds: bool) -> dict[str, Any]:
    return {"proof": proof, "result": result, "holds": "yes" if holds else "NO"}


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
