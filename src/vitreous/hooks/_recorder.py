"""What one forward pass leaves behind."""

from collections.abc import Collection, Iterator, Mapping
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
    """

    def __init__(
        self,
        wanted: Collection[str],
        connected: Collection[str] = (),
        detach: bool = True,
        device: torch.device | str | None = None,
        copies: bool = False,
    ) -> None:
        self.wanted = frozenset(wanted)
        self.connected = frozenset(connected)
        self.detach = detach
        self.device = device
        self.copies = copies
        self.values: dict[str, Tensor] = {}
        self.in_graph: dict[str, Tensor] = {}
        self.edited: set[str] = set()

    def connects(self, name: str) -> bool:
        return _covers(self.connected, name)

    def record(self, name: str, value: Tensor, *, edited: bool) -> None:
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
        """Watches the wanted and connected points, and every point that has forward hooks."""
        watched = [
            point
            for name, point in points.items()
            if name in self.wanted or name in self.connected or point.fwd_hooks
        ]
        before = [point.recorder for point in watched]
        try:
            for point in watched:
                point.recorder = self
                point.refresh()
            yield
        finally:
            for point, recorder in zip(watched, before, strict=True):
                point.recorder = recorder
                point.refresh()


def _covers(names: Collection[str], name: str) -> bool:
    """Whether `name` is asked for; `attn` asks for its parts and calls too, such as `attn[0]:1`."""
    return name in names or any(part in names for part in (name.partition(":")[0], base_of(name)))


def base_of(name: str) -> str:
    """The module path in a name of part or call: `attn` in `attn[0]:1`."""
    return name.partition(":")[0].partition("[")[0]
