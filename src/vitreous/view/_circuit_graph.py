"""A circuit as a picture: parts of a model by layer, and the edges between them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Shaped

from vitreous.view._frame import MARGIN, STACKED_BELOW, lines, wrapped
from vitreous.view._packing import as_numpy, exact
from vitreous.view._viewer import Viewer

MOST_DRAWN = 400
"""Edges that one picture draws; a reader can't follow more."""
MOST_EDGES = 60_000
"""Edges that a page holds."""
_FIRST = 100
_TABLE_ROWS = 12
_HINT = "Read from below: each part reads what parts below it wrote."
_SIDE = 304  # width of the table beside the picture, in pixels
_PORTS = ("", "q", "k", "v")
_NAME = re.compile(
    r"(?:a(?P<head_layer>\d+)\.h(?P<head>\d+)|m(?P<mlp_layer>\d+))(?:<(?P<port>.)>)?"
)


class CircuitNode(NamedTuple):
    """A part of a model that reads the stream, writes into it, or both.

    Attributes:
        name: By which edges call it.
        kind: What it is.
        layer: Its block; -1 for the input and the output.
        head: Its number there, if it is a head.
        note: What is known of it, such as the names that a head has earned.
    """

    name: str
    kind: Literal["input", "head", "mlp", "output"]
    layer: int = -1
    head: int = -1
    note: str = ""


class CircuitEdge(NamedTuple):
    """What one part wrote, as another one reads it.

    Attributes:
        source: The part that writes.
        destination: The part that reads.
        port: As what a head reads it: "q", "k" or "v"; "" for all else.
        group: At which tokens.
        score: What the edge is worth; None where nobody has said.
        included: Whether it is in the circuit.
    """

    source: str
    destination: str
    port: str = ""
    group: str = ""
    score: float | None = None
    included: bool = True


@runtime_checkable
class EdgeSet(Protocol):
    """What the picture reads from a graph, such as `vitreous.models.Graph`."""

    @property
    def groups(self) -> Sequence[str]:
        """Names of the groups of tokens."""
        ...

    @property
    def possible(self) -> Any:
        """`[groups, sources, destinations]`, true where there is an edge."""
        ...

    @property
    def included(self) -> Any:
        """Likewise, true where it is in the circuit."""
        ...

    @property
    def scores(self) -> Any:
        """Likewise, what it is worth; None where nobody has said."""
        ...

    @property
    def sources(self) -> Sequence[str]:
        """Names of what writes, in forward order."""
        ...

    @property
    def destinations(self) -> Sequence[str]:
        """Names of what reads, in forward order."""
        ...


@dataclass(frozen=True)
class CircuitGraph(Viewer):
    """A circuit, laid out by layer from the input at the bottom to the logits at the top.

    Blue edges speak for the target, orange ones against it; the thicker, the larger the score.
    Queries enter a head at its left, keys in its middle, values at its right. A slider says how
    many edges are drawn, the largest scores first; a part under the cursor shows its own edges and
    a table of them, and stays when it is clicked.

    Attributes:
        nodes: The parts, in forward order.
        edges: What to draw; the largest scores first, and among equals the first.
        left_out: Edges that there are and that aren't among these; the picture says how many.
        shown: How many edges it begins with; by default up to 100, and never above `MOST_DRAWN`.
        unit: What scores are counted in.
        ends: What a positive and a negative score mean.

    Raises:
        ValueError: Two parts of one name, an edge of a part that isn't there, scores for some edges
            alone, NaN or infinite scores, or more edges than a page can hold.
    """

    tag: ClassVar[str] = "vt-circuit-graph"
    nodes: Sequence[CircuitNode]
    edges: Sequence[CircuitEdge]
    left_out: int = 0
    shown: int | None = None
    unit: str = "score"
    ends: tuple[str, str] = ("for the target", "against it")

    def __post_init__(self) -> None:
        self._require_names()
        self._require_ports()
        scored = sum(edge.score is not None for edge in self.edges)
        if scored not in (0, len(self.edges)):
            raise ValueError(
                f"All edges must have a score, or none; got {scored} of {len(self.edges)} with "
                "one. Leave out those that nobody has scored."
            )
        self._require_finite()
        if len(self.edges) > MOST_EDGES:
            raise ValueError(
                f"A page must hold at most {MOST_EDGES} edges; got {len(self.edges)}. Pass those "
                "with the largest scores, and say `left_out=`."
            )
        if self.shown is not None and self.shown < 1:
            raise ValueError(f"`shown` must be 1 or more; got {self.shown}. Leave it out for 100.")

    @classmethod
    def of(
        cls,
        graph: EdgeSet,
        *,
        notes: Mapping[str, str] | None = None,
        shown: int | None = None,
        unit: str = "score",
        ends: tuple[str, str] = ("for the target", "against it"),
    ) -> "CircuitGraph":
        """Takes a graph of a model: its circuit, and all other edges to choose.

        Of more edges than a page holds, those of the circuit come first, and the largest scores.

        Args:
            graph: Such as `discover` returns, with names as in EAP-IG: `input`, `a0.h1`, `m0`,
                `a0.h1<q>`, `logits`.
            notes: By node (`a0.h1`), what is known of it.
            shown: How many edges it begins with.
            unit: What scores are counted in.
            ends: What a positive and a negative score mean.
        """
        where = _most_worth(graph)
        names = [graph.sources, graph.destinations]
        nodes = dict.fromkeys(_node_name(name) for each in names for name in each)
        said = notes or {}
        unknown = [name for name in said if name not in nodes]
        if unknown:
            raise ValueError(
                f"`notes` must name parts of this graph; got {unknown[0]!r}. Names are such as "
                f"{next(iter(nodes))!r} and 'a0.h1'."
            )
        drawn = [_node(name, said.get(name, "")) for name in nodes]
        left_out = int(as_numpy(graph.possible).sum()) - len(where)
        edges = [_edge(graph, *map(int, place)) for place in where]
        return cls(sorted(drawn, key=_when), edges, left_out, shown, unit, ends)

    def payload(self) -> Mapping[str, Any]:
        place = {node.name: i for i, node in enumerate(self.nodes)}
        groups = list(dict.fromkeys(edge.group for edge in self.edges))
        columns = {
            "sources": [place[edge.source] for edge in self.edges],
            "destinations": [place[edge.destination] for edge in self.edges],
            "ports": [_PORTS.index(edge.port) for edge in self.edges],
            "edgeGroups": [groups.index(edge.group) for edge in self.edges],
            "included": [int(edge.included) for edge in self.edges],
        }
        return {
            "nodes": [node._asdict() for node in self.nodes],
            **{name: exact(np.array(values, dtype=int)) for name, values in columns.items()},
            "scores": exact(self._scores.astype(np.float32)) if self._has_scores else None,
            "order": exact(self._order),
            "groups": groups,
            "leftOut": self.left_out,
            "shown": self.shown or _FIRST,
            "mostDrawn": MOST_DRAWN,
            "unit": self.unit,
            "ends": list(self.ends),
        }

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        first = self._drawn_first
        left = width if stacked else width - 40 - _SIDE
        picture = self._picture_height(first) + 19 + 20 * lines(_HINT, left, 15)
        picture += 22 * wrapped(self._legend_widths, 22, left)
        table = 70 + 24.5 * min(len(first), _TABLE_ROWS)
        controls = 64 * wrapped([258, 146, 86, 170][: 3 + self._is_divided], 28, width) - 12
        status = 14 + 20 * lines("x" * (90 + 45 * self._is_divided), width, 13)
        return controls + status + 12 + (picture + 24 + table if stacked else max(picture, table))

    @property
    def _is_divided(self) -> bool:
        return any(not edge.included for edge in self.edges)

    @property
    def _drawn_first(self) -> list[CircuitEdge]:
        circuit = [self.edges[i] for i in self._order if self.edges[i].included]
        return circuit[: min(self.shown or _FIRST, MOST_DRAWN)]

    def _picture_height(self, drawn: Sequence[CircuitEdge]) -> float:
        """As `circuit-layout.js` has it."""
        layers = {node.name: node.layer for node in self.nodes}
        ends = {layers[each] for edge in drawn for each in (edge.source, edge.destination)}
        rows = len(ends - {-1})
        return 92 + max(rows, 0.5) * min(max(640 / max(rows, 1), 66), 104)

    @property
    def _legend_widths(self) -> list[float]:
        ports = {edge.port for edge in self.edges} - {""}
        ends = [6.5 * len(text) + 41 for text in self.ends] if self._has_scores else []
        return [*ends, 6.5 * (18 + len(self.unit)), *(212 for _ in ports)]

    @property
    def _has_scores(self) -> bool:
        return bool(self.edges) and self.edges[0].score is not None

    @property
    def _scores(self) -> Float[np.ndarray, " components"]:
        return np.array([edge.score or 0.0 for edge in self.edges], dtype=np.float64)

    @property
    def _order(self) -> Int[np.ndarray, " components"]:
        return np.argsort(-np.abs(self._scores), kind="stable")

    def _require_names(self) -> None:
        names = [node.name for node in self.nodes]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"Parts must have different names; got {twice[0]!r} twice. Rename it.")
        known = set(names)
        ends = (end for edge in self.edges for end in (edge.source, edge.destination))
        lost = next((end for end in ends if end not in known), None)
        if lost is not None:
            raise ValueError(
                f"Edges must join parts of this circuit; got {lost!r}, which isn't among its "
                f"{len(names)} nodes. Add a `CircuitNode` of that name."
            )

    def _require_finite(self) -> None:
        scored = (edge for edge in self.edges if not math.isfinite(edge.score or 0))
        wrong = next(scored, None)
        if wrong is not None:
            raise ValueError(
                f"Scores of edges must be finite; got {wrong.score} of {wrong.source} -> "
                f"{wrong.destination}. Look for NaN or infinity in the weights or in the images."
            )

    def _require_ports(self) -> None:
        wrong = next((edge for edge in self.edges if edge.port not in _PORTS), None)
        if wrong is not None:
            raise ValueError(
                f"`port` must be 'q', 'k', 'v' or ''; got {wrong.port!r} of {wrong.source!r} -> "
                f"{wrong.destination!r}. Name what the head reads it as."
            )


def _most_worth(graph: EdgeSet) -> Shaped[np.ndarray, "_ 3"]:
    """(group, source, destination) of the edges that a page holds, in forward order."""
    possible = as_numpy(graph.possible)
    where = np.argwhere(possible.transpose(2, 1, 0))[:, ::-1]
    if len(where) <= MOST_EDGES:
        return where
    index = tuple(where.T)
    kept = as_numpy(graph.included)[index].astype(float)
    sizes = np.zeros(len(where)) if graph.scores is None else np.abs(as_numpy(graph.scores)[index])
    best = np.lexsort((-sizes, -kept))[:MOST_EDGES]
    return where[np.sort(best)]


def _edge(graph: EdgeSet, group: int, source: int, destination: int) -> CircuitEdge:
    to = graph.destinations[destination]
    found = _NAME.fullmatch(to)
    score = None if graph.scores is None else float(graph.scores[group, source, destination])
    return CircuitEdge(
        graph.sources[source],
        _node_name(to),
        (found and found["port"]) or "",
        graph.groups[group],
        score,
        bool(graph.included[group, source, destination]),
    )


def _node_name(name: str) -> str:
    return name.partition("<")[0]


def _node(name: str, note: str) -> CircuitNode:
    if name in ("input", "logits"):
        return CircuitNode(name, "input" if name == "input" else "output", note=note)
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(
            f"Names must be `input`, `a0.h1`, `m0`, `a0.h1<q>` or `logits`; got {name!r}. Make "
            "`CircuitNode`s and `CircuitEdge`s of it."
        )
    if found["mlp_layer"] is not None:
        return CircuitNode(name, "mlp", int(found["mlp_layer"]), note=note)
    return CircuitNode(name, "head", int(found["head_layer"]), int(found["head"]), note)


def _when(node: CircuitNode) -> tuple[bool, int, bool, int]:
    return node.kind == "output", node.layer, node.kind == "mlp", node.head
