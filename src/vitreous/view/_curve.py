"""A value by size: a line over a logarithmic axis, with the numbers beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous.view._frame import lines
from vitreous.view._packing import Array, as_numpy, exact
from vitreous.view._viewer import Viewer


@dataclass(frozen=True)
class Curve(Viewer):
    """A value for each of some sizes, such as the faithfulness of circuits of more and more edges.

    Attributes:
        sizes: Above zero, ascending; the axis is logarithmic.
        values: One for each.
        labels: What each point is called.
        mark: A size and a value of its own that is marked, such as the circuit that is chosen.
        mark_label: What it is called.
        rules: Heights at which a line is drawn.
        size_axis: What sizes are counted in.
        value_axis: What values are counted in.
        caption: A line above the chart.

    Raises:
        ValueError: Sizes and values in different number, sizes that don't rise from above zero, or
            values that aren't finite.
    """

    tag: ClassVar[str] = "vt-curve"
    sizes: Float[Array, " sets"]
    values: Float[Array, " sets"]
    labels: Sequence[str]
    mark: tuple[float, float] | None = None
    mark_label: str = ""
    rules: Sequence[float] = (0.0, 1.0)
    size_axis: str = "edges"
    value_axis: str = "faithfulness"
    caption: str = ""

    def __post_init__(self) -> None:
        sizes = as_numpy(self.sizes)
        rises = len(sizes) > 0 and sizes[0] > 0 and bool(np.all(np.diff(sizes) > 0))
        if not rises or not len(sizes) == len(self.values) == len(self.labels):
            raise ValueError(
                f"A curve must have sizes that rise from above zero, and a value and a label for "
                f"each; got sizes {sizes.tolist()[:5]}, {len(self.values)} values and "
                f"{len(self.labels)} labels. Sort them, and leave out what comes twice."
            )

    def payload(self) -> Mapping[str, Any]:
        return {
            "sizes": exact(as_numpy(self.sizes).astype(np.float32)),
            "values": exact(as_numpy(self.values).astype(np.float32)),
            "labels": list(self.labels),
            "mark": None if self.mark is None else list(self.mark),
            "markLabel": self.mark_label,
            "rules": list(self.rules),
            "sizeAxis": self.size_axis,
            "valueAxis": self.value_axis,
            "caption": self.caption,
        }

    def height(self, width: float) -> float:
        caption = 8 + 24 * lines(self.caption, width, 15) if self.caption else 0
        return caption + 300
