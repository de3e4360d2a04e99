"""A named place in a forward pass where values can be read and edited."""

import re
from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from vitreous._errors import HookError

Direction = Literal["fwd", "bwd"]
HookFunction = Callable[[Tensor, "HookPoint"], Tensor | None]


@runtime_checkable
class Recorder(Protocol):
    """Keeps what leaves the hook points of one forward pass."""

    def wants(self, name: str) -> bool:
        """Whether point `name` is to be visited even if nobody hooks it."""
        ...

    def connects(self, name: str) -> bool:
        """Whether the value of point `name` will be differentiated against."""
        ...

    def record(self, name: str, value: Tensor, *, edited: bool) -> None: ...


class Hook:
    """One function on one point. `remove` takes it off; it is then dead for every graph too."""

    def __init__(
        self, point: "HookPoint", function: HookFunction, direction: Direction, is_permanent: bool
    ) -> None:
        self.point = point
        self.function = function
        self.direction: Direction = direction
        self.is_permanent = is_permanent
        self.fired = 0
        self.is_alive = True

    def apply(self, value: Tensor) -> Tensor:
        """What the function makes of `value`: `value` itself when it changed nothing.

        The function gets a private copy, so an in-place change counts as an edit and reaches
        nothing but this point.
        """
        self.fired += 1
        private = _private_copy(value)
        version = private._version
        returned = self.function(private, self.point)
        if returned is None or returned is private:
            return value if private._version == version else private
        self._check(returned, value)
        return returned

    def remove(self) -> None:
        self.is_alive = False
        hooks = self.point.hooks_of(self.direction)
        if self in hooks:
            hooks.remove(self)
        self.point.refresh()

    def _check(self, returned: Any, value: Tensor) -> None:
        if not isinstance(returned, Tensor):
            raise TypeError(
                f"A hook on `{self.point.name}` must return a tensor or None; "
                f"got {type(returned).__name__}. Return the edited tensor, or edit in place."
            )
        if returned.shape != value.shape or returned.dtype != value.dtype:
            raise ValueError(
                f"A hook on `{self.point.name}` must return {_describe(value)}; "
                f"got {_describe(returned)}. Keep the shape and dtype of what came in."
            )


class HookPoint(nn.Module):
    """The identity, except to those who hook it.

    `name` is the path of the point in its model; `ctx` is a scratch dictionary for hook
    functions. A point that nobody watches costs one attribute look-up.
    """

    def __init__(self, *, on_demand: bool = False, hands_on_copies: bool = False) -> None:
        super().__init__()
        self.name = ""
        self.on_demand = on_demand
        self.hands_on_copies = hands_on_copies  # since what follows may work in place
        self.ctx: dict[Any, Any] = {}
        self.fwd_hooks: list[Hook] = []
        self.bwd_hooks: list[Hook] = []
        self.recorder: Recorder | None = None
        self.watched = False
        self.edited = False  # whether the last visit changed the value
        self.connected = False  # and whether somebody takes the gradient there

    # A point holds no parameters, and nn.Module.__setattr__ would look for them at every visit.
    __setattr__ = object.__setattr__  # pyright: ignore[reportAssignmentType]

    # nn.Module.__call__ would look for torch's own hooks, a microsecond on each of 240 points.
    def __call__(self, value: Tensor) -> Tensor:
        return self.visit(value, self.name) if self.watched else value

    def forward(self, value: Tensor) -> Tensor:
        return self(value)

    def register_forward_hook(self, *args: Any, **kwargs: Any) -> Any:
        """Raises: torch's hooks never fire on a hook point."""
        raise HookError(
            f"Torch's own hooks don't fire on hook point `{self.name}`. Use `model.add_hook`."
        )

    register_forward_pre_hook = register_full_backward_hook = register_forward_hook

    def layer(self) -> int:
        """The number of the block that the point stands in."""
        match = re.match(r"blocks\.(\d+)\.", self.name)
        if match is None:
            raise ValueError(f"`{self.name}` stands in no block. Only points in blocks have one.")
        return int(match[1])

    def add_hook(
        self,
        function: HookFunction,
        dir: Direction = "fwd",
        *,
        is_permanent: bool = False,
        prepend: bool = False,
    ) -> Hook:
        """Adds `function(tensor, point) -> tensor | None`; see `HookedModule.add_hook`."""
        hooks = self.hooks_of(dir)
        hook = Hook(self, function, dir, is_permanent)
        hooks.insert(0 if prepend else len(hooks), hook)
        self.refresh()
        return hook

    def hooks_of(self, direction: Direction) -> list[Hook]:
        if direction not in ("fwd", "bwd"):
            raise ValueError(f"`dir` must be 'fwd' or 'bwd'; got {direction!r}. Pass one of them.")
        return self.fwd_hooks if direction == "fwd" else self.bwd_hooks

    def refresh(self) -> None:
        """Brings `watched` up to date after hooks or the recorder changed."""
        is_wanted = self.recorder is not None and self.recorder.wants(self.name)
        self.watched = bool(self.fwd_hooks or self.bwd_hooks or is_wanted)

    def visit(self, value: Tensor, name: str) -> Tensor:
        """Runs the hooks on `value` and records what leaves under `name`."""
        edited = value
        for hook in tuple(self.fwd_hooks):
            if hook.is_alive:  # an earlier one may have removed it
                edited = hook.apply(edited)
        self.edited = edited is not value
        recorder = self.recorder
        self.connected = bool(self.bwd_hooks or (recorder and recorder.connects(name)))
        leaving = self._differentiable(edited) if self.connected else edited
        if self.recorder is not None:
            self.recorder.record(name, leaving, edited=self.edited)
        is_held = self.edited or self.connected  # by a hook, or for its gradient
        return leaving.clone() if is_held and self.hands_on_copies else leaving

    def _differentiable(self, value: Tensor) -> Tensor:
        """A value of its own in the graph, so that points sharing one tensor stay apart."""
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            raise HookError(
                f"A gradient at `{self.name}` needs gradients enabled; got a pass under no_grad. "
                "Run it outside `torch.no_grad()` and `torch.inference_mode()`."
            )
        if value.requires_grad:
            value = value.view_as(value)
        else:
            value = value.detach().requires_grad_()
        if self.bwd_hooks:
            value.register_hook(_BackwardHooks(tuple(self.bwd_hooks)))
        return value


class _BackwardHooks:
    """The backward hooks that were on a point when the graph was made.

    Those removed in the meantime stay silent; those of `run_with_hooks` live as long as the graph.
    """

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self.hooks = hooks

    def __call__(self, gradient: Tensor) -> Tensor:
        for hook in self.hooks:
            if hook.is_alive:
                gradient = hook.apply(gradient)
        return gradient


def _private_copy(value: Tensor) -> Tensor:
    if value.is_inference():
        # A copy made outside of inference mode counts its versions, which tells of in-place edits.
        with torch.inference_mode(False):
            return value.clone()
    return value.clone()


def _describe(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
