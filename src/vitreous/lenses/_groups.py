"""Groups of tokens, each of which may be carried to the end by a map of its own."""

from collections.abc import Iterable
from typing import Literal

from vitreous.models import TokenLayout

Groups = Literal["separate", "together"]


def groups_of(layout: TokenLayout, groups: Groups) -> tuple[str, ...]:
    """The names of a model's groups, in the order in which their tokens stand.

    Raises:
        ValueError: `groups` is another word.
    """
    if groups == "together":
        return ("all",)
    if groups != "separate":
        raise ValueError(
            f"`groups` must be 'separate' or 'together'; got {groups!r}. Pass one of them."
        )
    counts = {
        "cls": layout.cls,
        "distillation": layout.distillation,
        "registers": layout.registers,
        "patches": layout.n_patches,
    }
    return tuple(name for name, count in counts.items() if count)


def tokens_of(layout: TokenLayout, groups: Iterable[str]) -> dict[str, list[int]]:
    """Which tokens each group has."""
    return {name: layout.select(name) for name in groups}
