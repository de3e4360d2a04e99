"""From what a user types to the hook points that are meant."""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from vitreous._errors import HookError, unknown

NamesFilter = (
    str | tuple[object, ...] | Iterable[str | tuple[object, ...]] | Callable[[str], bool] | None
)

_WILDCARD = re.compile(r"[*?\[]")


def no_component(text: str) -> None:
    """For models whose parts have no short names."""
    del text


class HookNames:
    """The names of a model's hook points, in forward order.

    Args:
        names: All points, in forward order.
        on_demand: Those of them that exist only when asked for. The others, `default`, run in
            every forward pass, or derive from what runs.
        canonical: Turns a shorthand such as `("pattern", 3)` into a name; returns other strings
            unchanged.
        component: Turns `"L11H4"` into the name of its point and the fields of its site; None for
            what isn't a component.
    """

    def __init__(
        self,
        names: Sequence[str],
        on_demand: Collection[str] = (),
        canonical: Callable[[object], str] = str,
        component: Callable[[str], tuple[str, dict[str, int]] | None] = no_component,
    ) -> None:
        self.default = tuple(name for name in names if name not in on_demand)
        self.on_demand = tuple(name for name in names if name in on_demand)
        self.canonical = canonical
        self.component = component
        self._known = frozenset(names)
        self._order = {name: place for place, name in enumerate(names)}

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def has(self, name: str) -> bool:
        """Whether `name`, spelled out, is that of a point."""
        return name in self._known

    def one(self, key: object) -> str:
        """The one point that `key`, a name or a shorthand, stands for."""
        name = self.canonical(key)
        if name not in self._known:
            hint = "`model.hook_names()` lists them all."
            raise unknown("hook point", key, self._order, hint, looks_like=name)
        return name

    def select(self, wanted: NamesFilter) -> list[str]:
        """The points that a filter means, in forward order; loud when it means none.

        Args:
            wanted: None (every default name), a name or shorthand, a glob, a predicate over
                names, or an iterable of names, shorthands and globs. Wildcards and predicates
                look among the default names first and among those on demand only when they
                find nothing there: `"blocks.3.*"` doesn't ask for per-head results, and
                `"blocks.*.attn.hook_result"` does.

        Raises:
            UnknownNameError: A name that no point has, or a pattern that matches none.
        """
        if wanted is None:
            return list(self.default)
        if callable(wanted):
            return self._matching(wanted, "The predicate given as `names_filter`")
        if isinstance(wanted, str | tuple):
            return self._single(wanted)
        chosen = {name for item in wanted for name in self._single(item)}
        if not chosen:
            raise HookError(
                "`names_filter` must name a hook point; got an empty collection. "
                "Pass None for every default name."
            )
        return sorted(chosen, key=self._order.__getitem__)

    def _single(self, item: object) -> list[str]:
        if isinstance(item, str) and not self.has(item) and _WILDCARD.search(item):
            return self._matching(lambda name: fnmatch.fnmatchcase(name, item), f"Pattern {item!r}")
        return [self.one(item)]

    def _matching(self, predicate: Callable[[str], bool], what: str) -> list[str]:
        for names in (self.default, self.on_demand):
            found = [name for name in names if predicate(name)]
            if found:
                return found
        raise HookError(
            f"{what} must match a hook point; it matches none. `model.hook_names()` lists them all."
        )
