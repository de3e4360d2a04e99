"""What one forward pass leaves behind."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from vitreous.hooks._hook_point import HookPoint


class PassRecorder:
    """Records the values that leave hook points: those asked for, and those that hooks edited.

    Edited values are kept even when nobody asked for them, since whatever lies downstream has to
    derive from them and not from what they replaced.

    Args:
        wanted: Names to record.
        connected: Names to differentiate against; their values stay in the graph.
        detach: Whether recorded values leave the graph.
        device: Where to keep them; None leaves them where they are.
        copies: Whether to copy what is recorded, for modules that work in place.
        is_running: Whether the pass to record is the innermost one: a hook may start another.
    """

    def __init__(
        self,
        wanted: Collection[str],
        connected: Collection[str] = (),
        detach: bool = True,
        device: torch.device | str | None = None,
        copies: bool = False,
        is_running: Callable[[], bool] = lambda: True,
    ) -> None:
        self.wanted = frozenset(wanted)
        self.connected = frozenset(connected)
        self.detach = detach
        self.device = device
        self.copies = copies
        self.is_running = is_running
        self.values: dict[str, Tensor] = {}
        self.in_graph: dict[str, Tensor] = {}
        self.edited: set[str] = set()

    def wants(self, name: str) -> bool:
        return name in self.wanted or name in self.connected

    def connects(self, name: str) -> bool:
        return self.is_running() and _covers(self.connected, name)

    def record(self, name: str, value: Tensor, *, edited: bool) -> None:
        if not self.is_running():
            return
        if edited:
            self.edited.add(name)
        if self.connects(name):
            self.in_graph[name] = value
        if not edited and not _covers(self.wanted, name):
            return
        kept = value.detach() if self.detach else value
        if edited or self.copies:
            kept = kept.clone()  # the hook, or an in-place module, may still hold this tensor
        self.values[name] = kept if self.device is None else kept.to(self.device)

    @contextmanager
    def on(self, points: Mapping[str, HookPoint]) -> Iterator[None]:
        """Stands at all points, to see edits; only wanted ones are visited on its account."""
        before = {name: point.recorder for name, point in points.items()}
        try:
            for point in points.values():
                point.recorder = self
                point.refresh()
            yield
        finally:
            for name, point in points.items():
                point.recorder = before.get(name)
                point.refresh()


def _covers(names: Collection[str], name: str) -> bool:
    """Whether `name` is asked for; `attn` asks for its parts and calls too, such as `attn[0]:1`."""
    return name in names or any(part in names for part in (name.partition(":")[0], base_of(name)))


def base_of(name: str) -> str:
    """The module path in a name of part or call: `attn` in `attn[0]:1`."""
    return name.partition(":")[0].partition("[")[0]
