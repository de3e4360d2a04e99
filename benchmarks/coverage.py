"""How many of the architectures that a source library names become glass: `make coverage-models`.

Every name is built with random weights, a few blocks deep, converted, and compared in float64: the
stream behind every block, and what comes out. It is counted in full size, without memory for its
weights. What comes of it is the registry, `vt.list_models()`, and its summary in
`benchmarks/results/coverage.json`.

`FAMILIES` lists what is examined. `python -m benchmarks.coverage TITLE ...` examines those families
alone ("timm Eva") and leaves the rows of the others as they are; each family is written when it is
done.
"""

import gc
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import vitreous as vt
from benchmarks import (
    _coverage_open_clip,
    _coverage_timm,
    _coverage_torchvision,
    _coverage_transformers,
)
from benchmarks._coverage_case import Case, Family
from benchmarks._results import write
from tests.parity.timm_models import residuals
from vitreous._registry import KnownModel, read_registry, registry_file, write_registry

PARITY = 1e-10
LEFT_OUT = "Left out: text towers that are made by another library, from a download"
FAMILIES: list[Family] = [
    *_coverage_timm.FAMILIES,
    *_coverage_transformers.FAMILIES,
    *_coverage_open_clip.FAMILIES,
    *_coverage_torchvision.FAMILIES,
]
PACKAGES = ("timm", "transformers", "open-clip-torch", "torchvision")


def main(titles: list[str]) -> None:
    rows = _recorded()
    for family in FAMILIES:
        if not titles or family.title in titles:
            rows[family.title] = list(examined(family))
            models = [row for each in FAMILIES for row in rows.get(each.title, [])]
            write_registry(registry_file(), models)
            write("coverage", summary(models), PACKAGES)


def examined(family: Family) -> Iterator[KnownModel]:
    """A row for each name of the family."""
    for name, cases in by_name(family).items():
        started = time.perf_counter()
        model = row(family, name, cases)
        seconds = time.perf_counter() - started
        print(f"{family.title}: {name}: {model.verified} ({seconds:.1f} s)", file=sys.stderr)
        gc.collect()
        yield model


def by_name(family: Family) -> dict[str, list[Case]]:
    cases: dict[str, list[Case]] = {}
    for case in family.cases():
        cases.setdefault(case.name, []).append(case)
    return cases


def row(family: Family, name: str, cases: list[Case]) -> KnownModel:
    """What the registry says of a name."""
    sizes = full_size(cases[0])
    error, reason = 0.0, ""
    for case in cases:
        torch.manual_seed(0)
        try:
            far = distance(case)
        except Exception as failed:
            reason = reason or _said(case, _reason(failed))
            continue
        if not far <= PARITY:
            reason = reason or _said(case, f"differs by {far:.1e}")
        error = max(error, far)
    told = {"reason": reason} if reason else {"error": error}
    return KnownModel(family.library, family.name, name, **sizes, **told)


def full_size(case: Case) -> dict[str, Any]:
    """Parameters of the whole architecture, and the sizes of what it is made of, if we know it."""
    model = case.whole().eval()
    count = {"parameters": sum(each.numel() for each in model.parameters())}
    try:
        config = case.config(model)
    except vt.UnsupportedModelError:
        return count
    takes_images = hasattr(config, "image_shape")
    n_tokens = config.n_prefix + config.n_patches if takes_images else config.n_tokens
    size = config.image_shape if takes_images else ()
    size = (config.n_frames, *size) if takes_images and config.takes_clips else size
    return count | {
        "image": "x".join(map(str, size)) or None,
        "tokens": n_tokens,
        "layers": config.n_layers,
        "width": config.d_model,
        "heads": config.n_heads,
        "readout": config.pooling.kind,
    }


def distance(case: Case) -> float:
    """The largest of any compared value from the source's, relative to the largest value there."""
    source = case.make()
    inputs, model = case.inputs(source), vt.from_module(source, tower=case.tower)
    truth = residuals(lambda: case.run(source, inputs), case.blocks(source))
    truth = {name: case.arrange(value, model.cfg) for name, value in truth.items()}
    del source
    with torch.no_grad():
        logits, cache = model.run_with_cache(inputs, names_filter=[k for k in truth if "." in k])
    got = {name: logits if name == "logits" else cache[name] for name in truth}
    return max(_far(got[name], value) for name, value in truth.items())


def _far(got: Tensor, truth: Tensor) -> float:
    assert got.shape == truth.shape, f"{list(got.shape)} for {list(truth.shape)}"
    return ((got - truth).abs().max() / truth.abs().max()).item()


def _said(case: Case, reason: str) -> str:
    return f"{case.variant}: {reason}" if case.variant else reason


def _reason(error: Exception) -> str:
    if isinstance(error, vt.UnsupportedModelError):
        return str(error).partition(". Use")[0]
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def summary(models: list[KnownModel]) -> dict[str, list[dict[str, Any]]]:
    """N of M of each family, and why the others don't load."""
    found = {}
    for family in FAMILIES:
        mine = [m for m in models if (m.library, m.family) == (family.library, family.name)]
        if mine:
            found[family] = mine
    failed = [model for model in models if not model.loads]
    counts = [_counted(family, mine) for family, mine in found.items()]
    return {
        "Architectures that become glass, equal to their source": counts,
        "Those that don't, and why": [
            {"library": model.library, "architecture": model.name, "reason": model.reason}
            for model in failed
        ],
        LEFT_OUT: [
            {"library": library, "architectures": ", ".join(names())}
            for library, names in _coverage_open_clip.LEFT_OUT.items()
        ],
    }


def _counted(family: Family, models: list[KnownModel]) -> dict[str, Any]:
    loaded = [model for model in models if model.loads]
    share = len(loaded) / len(models)
    return {
        "library": family.library,
        "family": family.name,
        "load": f"{len(loaded)} of {len(models)}",
        "share": f"{share:.1%}",
        "must be at least": f"{family.target:.0%}",
        "small models compared": len(list(family.cases())),
        "largest error": f"{max((model.error or 0.0 for model in loaded), default=0.0):.0e}",
    }


def _recorded() -> dict[str, list[KnownModel]]:
    rows: dict[str, list[KnownModel]] = {}
    if registry_file().is_file():
        for model in read_registry(registry_file()):
            rows.setdefault(f"{model.library} {model.family}", []).append(model)
    return rows


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:])
