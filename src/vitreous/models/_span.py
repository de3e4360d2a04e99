"""Which stretch of a model a pass runs, and which hook points lie in it."""

import re
from collections.abc import Iterable, Sequence

from vitreous.hooks import HookPoint

_BLOCK = re.compile(r"blocks\.(\d+)\.")


def block_range(n_layers: int, start: int | None, stop: int | None) -> tuple[int, int]:
    """The first block to run and the first not to run; negative ones count from the end."""
    first = _from_front("start_at_layer", 0 if start is None else start, n_layers)
    last = _from_front("stop_at_layer", n_layers if stop is None else stop, n_layers)
    if first > last:
        raise ValueError(
            f"`start_at_layer` must not lie behind `stop_at_layer`; got {first} and {last}. "
            "Swap them."
        )
    return first, last


def reached(
    names: Sequence[str],
    n_layers: int,
    start_at_layer: int | None = None,
    stop_at_layer: int | None = None,
) -> list[str]:
    """Those of `names` that a pass between these layers comes by."""
    first, last = block_range(n_layers, start_at_layer, stop_at_layer)

    def comes_by(name: str) -> bool:
        match = _BLOCK.match(name)
        if match:
            return first <= int(match[1]) < last
        if name.startswith(("ln_final.", "hook_ln_final", "pooling.", "hook_post_head")):
            return stop_at_layer is None
        return start_at_layer is None

    return [name for name in names if comes_by(name)]


def last_watched(points: Iterable[HookPoint], first: int) -> int:
    """The block after the last one in which somebody watches; `first` where nobody does."""
    blocks = [_BLOCK.match(point.name) for point in points if point.watched]
    return max([first, *(int(match[1]) + 1 for match in blocks if match)])


def _from_front(word: str, layer: int, n_layers: int) -> int:
    if not -n_layers <= layer <= n_layers:
        raise ValueError(f"`{word}` must lie in 0..{n_layers}; got {layer}. Choose another.")
    return layer + n_layers if layer < 0 else layer
