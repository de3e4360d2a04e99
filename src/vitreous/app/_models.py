"""The table of what loads."""

import json
from collections.abc import Iterator

from vitreous._registry import ModelTable, list_models


def model_lines(
    words: list[str], library: str | None, readout: str | None, failed: bool, as_json: bool
) -> Iterator[str]:
    """What `vitreous models` prints.

    Raises:
        UnknownNameError: Nothing has these words, or there is no such library or readout.
    """
    found = list_models(" ".join(words), library=library, readout=readout, failed=failed)
    if as_json:
        yield json.dumps([model.to_dict() for model in found], indent=2, ensure_ascii=False)
        return
    loaded = [model for model in found if model.loads]
    yield str(found)
    yield f"\nFound {len(found)}; {len(loaded)} can be loaded."
    if loaded:
        yield from _explanations(ModelTable(loaded))


_MEANING = "verified: distance from the source in float64, of all streams and the output, relative"
_CLASSES = "  # any repository of these classes; here with the sizes of their config's defaults"


def _explanations(loaded: ModelTable) -> Iterator[str]:
    """What a number means, and how a model of each library is loaded."""
    yield _MEANING
    first = {model.library: model for model in reversed(loaded)}
    for model in reversed(first.values()):
        yield f'vt.load("{model.load_as}"){_CLASSES if model.library == "transformers" else ""}'
