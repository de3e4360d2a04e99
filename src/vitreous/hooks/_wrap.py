"""Hooks on any torch module, by module path."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.hooks._cache import ActivationCache
from vitreous.hooks._hook_point import HookPoint
from vitreous.hooks._hooked_module import HookedModule
from vitreous.hooks._names import HookNames, NamesFilter
from vitreous.hooks._outputs import parts_of, with_parts
from vitreous.hooks._recorder import base_of


def wrap(module: nn.Module) -> "WrappedModule":
    """Gives any module the hooks, cached runs and interventions of a `HookedModule`.

    Names are module paths (`layer1.0.conv1`) and stand for what that module returns. Where it
    returns a tuple, list, dictionary or dataclass, its tensors are `path[0]` or `path[key]`. A
    module that runs several times in a pass has a value for each call, `path:0`, `path:1`; a hook
    on `path` fires at every one.

    The module itself is untouched: torch hooks are on it only while a watched pass runs.

    Raises:
        TypeError: A module that has hook points, which would get other names.
    """
    if any(isinstance(each, HookPoint | HookedModule) for each in module.modules()):
        raise TypeError(
            f"`wrap` is for modules without hook points; got a {type(module).__name__}, which has "
            "some. Use its own `run_with_cache`, or wrap a part without them."
        )
    return WrappedModule(module)


class WrappedModule(HookedModule):
    """What `wrap` returns; `module` is the wrapped one."""

    copies_recorded = True  # an in-place module downstream would change what was recorded

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._modules_by_path = {path: m for path, m in module.named_modules() if path}
        self.setup_hooks()
        self.hook_dict = {}
        for path in self._modules_by_path:
            self._add_point(path)
        self.names = _PathNames(self)
        self.training = module.training  # its parts keep modes of their own

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        calls: dict[str, int] = {}
        watched = {base_of(name) for name, point in self.hook_dict.items() if point.watched}
        handles = [
            self._modules_by_path[path].register_forward_hook(self._visitor(path, calls))
            for path in watched
        ]
        try:
            return self.module(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()

    def run_with_cache(
        self, *args: Any, names_filter: NamesFilter = None, **keywords: Any
    ) -> tuple[Any, ActivationCache]:
        """See `HookedModule.run_with_cache`; modules asked for by name have to run."""
        if not (names_filter is None or callable(names_filter)):
            is_one = isinstance(names_filter, str | tuple)
            names_filter = [names_filter] if is_one else list(names_filter)
        output, cache = super().run_with_cache(*args, names_filter=names_filter, **keywords)
        self._require_came(names_filter, cache)
        return output, cache

    def make_cache(
        self,
        values: dict[str, Tensor],
        keys: Sequence[str],
        edited: frozenset[str],
        *args: Any,
        **forward: Any,
    ) -> ActivationCache:
        del edited, args, forward
        _require_parts(keys, values)  # which parts and calls there are is known only now
        by_call = [name.removesuffix("_grad") for name in values]
        once = {name for name in by_call if f"{name.partition(':')[0]}:1" not in by_call}
        named = {
            _without_call(name) if name.removesuffix("_grad") in once else name: value
            for name, value in values.items()
        }
        plain = [name for name in named if not name.endswith("_grad")]
        return ActivationCache(named, list(named), HookNames(plain))

    def point_at(self, name: str) -> HookPoint | None:
        """The point of a path, a part or a call; None for a path that the module doesn't have."""
        if name not in self.hook_dict and base_of(name) in self._modules_by_path:
            self._add_point(name)
        return self.hook_dict.get(name)

    def _require_came(self, wanted: NamesFilter, cache: ActivationCache) -> None:
        came = {base_of(name) for name in cache}
        for item in wanted if isinstance(wanted, list) else []:
            if item in self._modules_by_path and item not in came:
                raise HookError(
                    f"`names_filter` must name what the pass comes by; {item!r} never returned a "
                    "tensor. Leave `names_filter` out to see what there is."
                )

    def _add_point(self, name: str) -> None:
        point = HookPoint(hands_on_copies=True)
        point.name = name
        self.hook_dict[name] = point

    def _visitor(self, path: str, calls: dict[str, int]) -> Any:
        def visit(module: nn.Module, args: Any, output: Any) -> Any:
            del module, args
            call = calls[path] = calls.get(path, -1) + 1
            if not isinstance(output, Tensor) and self.hook_dict[path].fwd_hooks:
                raise HookError(
                    f"A hook on `{path}` needs a tensor; that module returns "
                    f"{type(output).__name__}. {_ways_out(path, output)}"
                )
            parts = parts_of(output)
            visited = [self._visit(path, path + part, call, value) for part, value in parts]
            return with_parts(output, visited)

        depth = self.depth
        return lambda *of_call: visit(*of_call) if self.depth == depth else None

    def _visit(self, path: str, part: str, call: int, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        record_as = f"{part}:{call}"
        for name in dict.fromkeys((path, part, record_as)):
            point = self.hook_dict.get(name)
            if point is not None and point.watched:
                value = point.visit(value, record_as)
        return value


class _PathNames(HookNames):
    """Module paths; a part or a call of one becomes a name when it is first asked for."""

    def __init__(self, module: WrappedModule) -> None:
        super().__init__(list(module.hook_dict))
        self._module = module

    def has(self, name: str) -> bool:
        return self._module.point_at(name) is not None

    def one(self, key: object) -> str:
        if isinstance(key, str) and self.has(key):
            if key not in self._order:
                self._order[key] = len(self._order)
            return key
        return super().one(key)


def _require_parts(asked: Sequence[str], recorded: Iterable[str]) -> None:
    """Parts and calls that were asked for by name have to come."""
    came = {part for name in recorded for part in (name, name.partition(":")[0])}
    missing = [name for name in asked if base_of(name) != name and name not in came]
    if missing:
        raise HookError(
            f"`names_filter` must name what the pass comes by; {missing[0]!r} never came. "
            f"Ask for {base_of(missing[0])!r} to see what there is."
        )


def _ways_out(path: str, output: Any) -> str:
    parts = [path + part for part, value in parts_of(output) if isinstance(value, Tensor)]
    return f"Hook one of {', '.join(parts[:4])}." if parts else "Hook a module inside of it."


def _without_call(name: str) -> str:
    gradient = "_grad" if name.endswith("_grad") else ""
    return name.removesuffix("_grad").partition(":")[0] + gradient
