"""How many of the architectures that a source library names become glass: `make coverage-models`.

Every name is built with random weights, a few blocks deep, converted, and compared in float64: the
stream behind every block, and what comes out. A library is a function that yields one `Case` for
each name; `LIBRARIES` lists them. `python -m benchmarks.coverage LIBRARY ...` runs those alone and
leaves the rows of the others as they are on record.
"""

import gc
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

import vitreous as vt
from benchmarks._coverage_case import Case
from benchmarks._coverage_open_clip import open_clip_cases
from benchmarks._coverage_timm import beit_cases, eva_cases, vision_transformer_cases
from benchmarks._coverage_transformers import transformers_cases
from benchmarks._results import FOLDER, write
from tests.parity.timm_models import residuals

PARITY = 1e-10
TITLE = "Architectures that become glass, equal to their source"


# What is counted, and its cases.
LIBRARIES: dict[str, Callable[[], Iterator[Case]]] = {
    "timm VisionTransformer": vision_transformer_cases,
    "timm Eva": eva_cases,
    "timm Beit": beit_cases,
    "transformers": transformers_cases,
    "open_clip images": open_clip_cases,
}


def main(wanted: list[str]) -> None:
    counted = {each: list(covered(each, LIBRARIES[each]())) for each in wanted or LIBRARIES}
    rows = _recorded() | counted
    write("coverage", {TITLE: [row for library in LIBRARIES for row in rows[library]]})


def covered(library: str, cases: Iterable[Case]) -> Iterator[dict[str, Any]]:
    """A row for the library, and one for every name that isn't covered."""
    distances: dict[str, float] = {}
    failures: dict[str, str] = {}
    for case in cases:
        started = time.perf_counter()
        torch.manual_seed(0)
        try:
            distances[case.name] = distance(case)
        except Exception as error:
            failures[case.name] = _reason(error)
        else:
            if not distances[case.name] <= PARITY:
                failures[case.name] = f"differs by {distances.pop(case.name):.1e}"
        gc.collect()
        said = failures.get(case.name) or f"{distances[case.name]:.1e}"
        seconds = time.perf_counter() - started
        print(f"{library}: {case.name}: {said} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    total = len(distances) + len(failures)
    share, worst = len(distances) / max(total, 1), max(distances.values(), default=0.0)
    yield _row(library, f"{len(distances)} of {total}", f"{share:.1%} equal, worst {worst:.0e}")
    for name, reason in failures.items():
        yield _row(library, name, reason)


def distance(case: Case) -> float:
    """The largest of any compared value from the source's, relative to the largest value there."""
    source = case.make()
    images, model = case.images(source), vt.from_module(source)
    truth = residuals(lambda: case.run(source, images), case.blocks(source))
    del source
    with torch.no_grad():
        logits, cache = model.run_with_cache(images, names_filter=[k for k in truth if "." in k])
    got = {name: logits if name == "logits" else cache[name] for name in truth}
    return max(far(got[name], value) for name, value in truth.items())


def far(got: Tensor, truth: Tensor) -> float:
    assert got.shape == truth.shape, f"{list(got.shape)} for {list(truth.shape)}"
    return ((got - truth).abs().max() / truth.abs().max()).item()


def _row(library: str, models: str, result: str) -> dict[str, Any]:
    return {"library": library, "models": models, "result": result}


def _reason(error: Exception) -> str:
    if isinstance(error, vt.UnsupportedModelError):
        return str(error).partition(". Use")[0]
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _recorded() -> dict[str, list[dict[str, Any]]]:
    path = FOLDER / "coverage.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["tables"][TITLE] if path.is_file() else []
    return {library: [row for row in rows if row["library"] == library] for library in LIBRARIES}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:])
