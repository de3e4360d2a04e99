"""A small causal model of a task, and the parts of a network that must stand for its variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

PICTURE = "picture"
"""What variables without another parent depend on: the symbols of the cells."""

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Variable:
    """Something that follows from the picture, or from other variables.

    Attributes:
        name: What others call it.
        node: What stands for it in a network: a head, as `"a0.h1"`, or an MLP, as `"m1"`.
        reads: Its parents, variables above or `"picture"`, each with how the node reads it: a head
            by some of the letters `"qkv"`, an MLP by `""`.
        about: What it is.
        value: Its value for each picture, given those of its parents, by name.
    """

    name: str
    node: str
    reads: Mapping[str, str]
    about: str
    value: Callable[[Values], Tensor] = field(repr=False)


@dataclass(frozen=True)
class CausalModel:
    """How a task can be solved, and the circuit of a network that solves it that way.

    Attributes:
        variables: Parents come before their children; the last one is the answer.

    Raises:
        ValueError: A variable has a parent that isn't before it.
    """

    variables: tuple[Variable, ...]

    def __post_init__(self) -> None:
        known = [PICTURE]
        for variable in self.variables:
            for parent in variable.reads:
                if parent not in known:
                    raise ValueError(
                        f"Parents of `{variable.name}` must be variables before it, or "
                        f"'{PICTURE}'; got '{parent}'. Before it are {', '.join(known)}."
                    )
            known.append(variable.name)

    @property
    def nodes(self) -> tuple[str, ...]:
        """What stands for each variable."""
        return tuple(variable.node for variable in self.variables)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Who reads whom, by the names of a `Graph`: parent to child, and the answer to `logits`.

        A head's queries, keys and values count apart. What a head must find out to know where to
        look is read by queries or keys, what it reports by values; a head that always looks at
        the same cell reads the picture by values alone.
        """
        nodes = {PICTURE: "input"} | {each.name: each.node for each in self.variables}
        edges = [
            (nodes[parent], variable.node + letter)
            for variable in self.variables
            for parent, letters in variable.reads.items()
            for letter in ([f"<{each}>" for each in letters] or [""])
        ]
        return [*edges, (self.variables[-1].node, "logits")]

    def values(
        self,
        symbols: Int[Tensor, "batch rows columns"],
        swapped: Bool[Tensor, "batch components"] | None = None,
        others: Values | None = None,
    ) -> dict[str, Tensor]:
        """What each variable is, by name.

        Args:
            symbols: Of the cells of each picture.
            swapped: Which variables are set from outside, whatever their parents are; None for
                none. With `others`, what they are set to.
            others: Values by name, such as those of other pictures.
        """
        values: dict[str, Tensor] = {PICTURE: symbols}
        for place, variable in enumerate(self.variables):
            value = variable.value(values)
            if swapped is not None and others is not None:
                value = torch.where(swapped[:, place], others[variable.name], value)
            values[variable.name] = value
        return values

    def label(self, values: Values) -> Int[Tensor, " batch"]:
        """The answer among values."""
        return values[self.variables[-1].name]
