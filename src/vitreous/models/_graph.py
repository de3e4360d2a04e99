"""Who writes what whom reads: the edges of a transformer, as a plain set over a configuration."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous._errors import UnsupportedModelError, unknown
from vitreous.models import _graph_files as files
from vitreous.models._config import TransformerConfig

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer

EVERYWHERE = ("all",)
_LETTERS = "qkv"


class Edge(NamedTuple):
    """One edge: what `source` wrote at the tokens of `group`, as `destination` reads it."""

    source: str
    destination: str
    group: str
    score: float | None = None

    def __str__(self) -> str:
        at = "" if self.group == EVERYWHERE[0] else f"[{self.group}]"
        return f"{self.source}->{self.destination}{at}"


@dataclass(frozen=True)
class GraphShape:
    """Which sources, destinations and edges a model has.

    Names are those of EAP-IG: sources `input` (the stream that enters the first block), `a0.h1`
    (what a head writes, without the output bias), `m0` (what an MLP writes); destinations
    `a0.h1<q>`, `a0.h1<k>`, `a0.h1<v>`, `m0`, and `logits` (the readout).

    Attributes:
        n_layers: Blocks.
        n_heads: Heads per block.
        has_mlps: Whether blocks have MLPs.
        parallel: Whether an MLP stands beside attention and doesn't read what it writes.
    """

    n_layers: int
    n_heads: int
    has_mlps: bool = True
    parallel: bool = False

    @classmethod
    def of(cls, model: "GlassTransformer | TransformerConfig") -> "GraphShape":
        """The shape of a model.

        Raises:
            UnsupportedModelError: Heads whose outputs don't add up, because a norm stands behind
                them, or blocks that attend twice.
        """
        cfg = model if isinstance(model, TransformerConfig) else model.cfg
        lacks = {
            "attends over time and space in turns": cfg.divides_space_time,
            "normalizes what its heads have read": cfg.attention.z_norm is not None,
            "normalizes what attention and MLP add": cfg.out_norm is not None,
        }
        for why, is_so in lacks.items():
            if is_so:
                raise UnsupportedModelError(
                    "A graph of edges needs heads and MLPs that each add to the stream; got a "
                    f"model that {why}. Use sweeps over sites there."
                )
        return cls(cfg.n_layers, cfg.n_heads, not cfg.attn_only, cfg.parallel)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """In forward order: `input`, then the heads and the MLP of each block."""
        names = ["input"]
        for layer in range(self.n_layers):
            names += self._heads(layer) + [f"m{layer}"] * self.has_mlps
        return tuple(names)

    @cached_property
    def destinations(self) -> tuple[str, ...]:
        """In forward order: of each block all queries, all keys, all values, the MLP; `logits`."""
        names = []
        for layer in range(self.n_layers):
            names += [f"{head}<{letter}>" for letter in _LETTERS for head in self._heads(layer)]
            names += [f"m{layer}"] * self.has_mlps
        return (*names, "logits")

    @cached_property
    def possible(self) -> Bool[Tensor, "sources destinations"]:
        """Whether the source writes before the destination reads."""
        written = [self._when(name, is_source=True) for name in self.sources]
        read = [self._when(name, is_source=False) for name in self.destinations]
        return torch.tensor(written)[:, None] < torch.tensor(read)

    def source_of(self, layer: int) -> slice:
        """The heads of a block, among sources."""
        first = self.sources.index(f"a{layer}.h0")
        return slice(first, first + self.n_heads)

    def destinations_of(self, layer: int) -> slice:
        """The queries, keys and values of a block, among destinations."""
        first = self.destinations.index(f"a{layer}.h0<q>")
        return slice(first, first + 3 * self.n_heads)

    def _heads(self, layer: int) -> list[str]:
        return [f"a{layer}.h{head}" for head in range(self.n_heads)]

    def _when(self, name: str, *, is_source: bool) -> int:
        """Even times are readings, odd ones writings that later readings see."""
        if name in ("input", "logits"):
            return -1 if is_source else 4 * self.n_layers
        layer = layer_of(name)
        reads_stream_in_front = name.startswith("a") or self.parallel
        if is_source:
            # Side by side, MLP and attention are both written when the block ends.
            return 4 * layer + (3 if self.parallel or name.startswith("m") else 1)
        return 4 * layer + (0 if reads_stream_in_front else 2)


@dataclass(frozen=True, eq=False)
class Graph:
    """Edges of a model: which are there, which are in a circuit, and what each is worth.

    A value; every method returns a new one. With groups of tokens, an edge of a group carries
    what its source wrote at those tokens: the residual stream moves nothing between tokens.

    Attributes:
        shape: Of the model.
        possible: The edges that there are.
        included: Those of the circuit.
        scores: What each edge is worth; None where nobody has said.
        groups: The groups of tokens; `("all",)` for the plain graph.
        attrs: What is known of the scores: the method, the target, and the like.
    """

    shape: GraphShape
    possible: Bool[Tensor, "groups sources destinations"]
    included: Bool[Tensor, "groups sources destinations"]
    scores: Float[Tensor, "groups sources destinations"] | None = None
    groups: tuple[str, ...] = EVERYWHERE
    attrs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: "GlassTransformer | TransformerConfig",
        groups: Sequence[str] | None = None,
        *,
        unread: Sequence[str] = (),
    ) -> "Graph":
        """The graph of a model, all of its edges included.

        Args:
            model: A model, or its configuration.
            groups: Names of token groups; None means one of all tokens.
            unread: Those of `groups` whose tokens the readout doesn't read. What nobody reads is
                absent: there, the queries and the MLP of the last block, and the readout.
        """
        return cls._of_shape(GraphShape.of(model), groups or EVERYWHERE, unread)

    @classmethod
    def _of_shape(
        cls, shape: GraphShape, groups: Sequence[str], unread: Sequence[str] = ()
    ) -> "Graph":
        names = tuple(groups)
        possible = shape.possible.repeat(len(names), 1, 1)
        last = shape.destinations_of(shape.n_layers - 1)
        queries = slice(last.start, last.start + shape.n_heads)
        for group in unread:
            place = _index("group", group, names)
            possible[place, :, queries] = False
            possible[place, :, last.stop :] = False
        return cls(shape, possible, possible.clone(), None, names)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in forward order."""
        return self.shape.sources

    @property
    def destinations(self) -> tuple[str, ...]:
        """Names of the destinations, in forward order."""
        return self.shape.destinations

    @property
    def count(self) -> int:
        """Edges in the circuit."""
        return int(self.included.sum())

    @property
    def n_possible(self) -> int:
        """Edges that there are."""
        return int(self.possible.sum())

    def edges(self) -> list[Edge]:
        """The edges of the circuit, in forward order of their destinations."""
        order = self.included.permute(2, 1, 0).nonzero().tolist()
        return [self._edge(group, source, place) for place, source, group in order]

    def index(self, source: str, destination: str, group: str = EVERYWHERE[0]) -> tuple[int, ...]:
        """Where an edge stands in `scores`.

        Raises:
            UnknownNameError: A name that this graph hasn't.
            ValueError: The source doesn't come before the destination, or nobody reads it there.
        """
        where = (
            _index("group", group, self.groups),
            _index("source", source, self.sources),
            _index("destination", destination, self.destinations),
        )
        if not self.possible[where]:
            raise ValueError(
                f"An edge must lead from what is written to what reads it later; got "
                f"{Edge(source, destination, group)}. `graph.possible` says which there are."
            )
        return where

    def keeping(self, edges: Iterable[Edge | tuple[str, ...]]) -> "Graph":
        """The same graph with exactly these edges included: `(source, destination[, group])`."""
        included = torch.zeros_like(self.possible)
        for edge in edges:
            included[self.index(*edge[:3])] = True
        return replace(self, included=included)

    def including(self, included: Bool[Tensor, "groups sources destinations"]) -> "Graph":
        """The same graph with those edges of a mask included that there are."""
        return replace(self, included=included & self.possible)

    def scored(self, scores: Float[Tensor, "groups sources destinations"]) -> "Graph":
        """The same graph with scores, which are zero where there is no edge."""
        if scores.shape != self.possible.shape:
            raise ValueError(
                f"`scores` must have shape {list(self.possible.shape)}, as this graph; got "
                f"{list(scores.shape)}. Score the edges of the same model."
            )
        kept = scores.detach().cpu()
        return replace(self, scores=torch.where(self.possible, kept, torch.zeros_like(kept)))

    def top(self, count: int, *, absolute: bool = True) -> "Graph":
        """The `count` best edges by score; equal ones in forward order.

        Args:
            count: How many, at most those that there are.
            absolute: Whether an edge that speaks against the target counts as much as one for it.
        """
        scores = self.require_scores()
        if not 0 <= count <= self.n_possible:
            raise ValueError(
                f"`count` must lie in 0..{self.n_possible}, the edges of this graph; got {count}. "
                "Pass fewer."
            )
        worth = scores.abs() if absolute else scores
        worth = worth.masked_fill(~self.possible, -torch.inf).flatten()
        best = worth.sort(descending=True, stable=True).indices[:count]
        included = torch.zeros(worth.numel(), dtype=torch.bool)
        included[best] = True
        return self.including(included.view_as(self.possible))

    def above(self, threshold: float, *, absolute: bool = True) -> "Graph":
        """The edges with a score of at least `threshold`."""
        scores = self.require_scores()
        return self.including((scores.abs() if absolute else scores) >= threshold)

    def pruned(self) -> "Graph":
        """Without edges that lead nowhere: from nodes that nothing reaches, or to unread ones.

        A head reads what any of its queries, keys and values reads. Groups of tokens are walked
        together, since attention moves what it reads to any token.
        """
        included = self.included.clone()
        before = -1
        while int(included.sum()) != before:
            before = int(included.sum())
            is_reached = self._nodes(included.any(0).any(0), self.destinations, self.sources)
            is_reached[0] = True  # the input is given
            included &= is_reached[:, None]
            is_read = self._nodes(included.any(0).any(1), self.sources, self.destinations)
            is_read[-1] = True  # and the logits are what is asked for
            included &= is_read
        return replace(self, included=included)

    def require_scores(self) -> Float[Tensor, "groups sources destinations"]:
        """The scores.

        Raises:
            ValueError: There are none.
        """
        if self.scores is None:
            raise ValueError(
                "This graph must have scores; got one without. Take it from `discover`, or use "
                "`graph.scored(scores)`."
            )
        return self.scores

    def require_model(self, model: "GlassTransformer") -> None:
        """Raises `ValueError` where the graph is of a model of another shape."""
        shape = GraphShape.of(model)
        if shape != self.shape:
            raise ValueError(
                f"A graph must be of the model that it is used with; got one of {self.shape} for "
                f"a model of {shape}. Make it with `Graph.of(model)`."
            )

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Writes all there is to know of the graph; `from_json` reads it.

        Raises:
            ValueError: A score isn't finite.
        """
        files.write_json(files.own_form(self, self._unread()), path)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "Graph":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: The file is another one.
        """
        plain = files.read_own(path)
        shape, groups = GraphShape(**plain["shape"]), plain["groups"]
        graph = cls._of_shape(shape, groups, plain["unread"]).keeping(
            [tuple(edge) for edge in plain["edges"]]
        )
        graph = replace(graph, attrs=plain["attrs"])
        if plain["scores"] is None:
            return graph
        dtype = getattr(torch, plain["dtype"])
        return graph.scored(torch.tensor(plain["scores"], dtype=dtype))

    def to_mib(self, path: str | os.PathLike[str], *, d_model: int) -> None:
        """Writes a form of EAP-IG, in which MIB takes circuits: JSON, or tensors in a `.pt`.

        Args:
            path: Ends in `.json` or `.pt`.
            d_model: Width of the model, which stands in the file.

        Raises:
            ValueError: There are no scores, or groups of tokens, or no MLPs.

        References:
            Hanna et al., EAP-IG, `Graph.to_json` and `Graph.to_pt`. A node is in the circuit where
            an included edge begins or ends at it. Scores of the `.pt` are float32, as there.
        """
        if os.fspath(path).endswith(".pt"):
            files.write_tensors(files.mib_tensors(self, d_model), path)
        else:
            files.write_json(files.mib_form(self, d_model), path)

    @classmethod
    def from_mib(cls, path: str | os.PathLike[str]) -> "Graph":
        """Reads either form of EAP-IG. A `.pt` is read as tensors and plain values alone.

        Scores and members of nodes and neurons, where the file has some, are left out.

        Raises:
            ValueError: The file has another form, or edges that its configuration hasn't.
        """
        plain = files.read_mib(path)
        cfg = plain["cfg"]
        shape = GraphShape(cfg["n_layers"], cfg["n_heads"], True, cfg["parallel_attn_mlp"])
        graph = cls._of_shape(shape, EVERYWHERE)
        included, scores = files.edge_tensors(plain, graph)
        return graph.including(included).scored(scores)

    def __repr__(self) -> str:
        shape, groups = self.shape, ""
        if self.groups != EVERYWHERE:
            groups = f", groups {', '.join(self.groups)}"
        return (
            f"Graph({self.count} of {self.n_possible} edges, {shape.n_layers} layers x "
            f"{shape.n_heads} heads{groups}{', scored' if self.scores is not None else ''})"
        )

    def _unread(self) -> list[str]:
        """The groups whose tokens the readout doesn't read."""
        return [
            name
            for name, there in zip(self.groups, self.possible[:, 0, -1].tolist(), strict=True)
            if not there
        ]

    def _edge(self, group: int, source: int, destination: int) -> Edge:
        score = None if self.scores is None else float(self.scores[group, source, destination])
        names = self.sources[source], self.destinations[destination]
        return Edge(*names, self.groups[group], score)

    def _nodes(
        self, has: Tensor, ends: tuple[str, ...], others: tuple[str, ...]
    ) -> Bool[Tensor, " components"]:
        """For each of `others`, whether an end of the same node has an edge."""
        nodes = {node_of(name) for name, there in zip(ends, has.tolist(), strict=True) if there}
        return torch.tensor([node_of(name) in nodes for name in others])


def node_of(name: str) -> str:
    """The head or MLP that a source or destination belongs to: `a0.h1` for `a0.h1<q>`."""
    return name.partition("<")[0]


def layer_of(name: str) -> int:
    """The block of a node; `input` is -1, as the embedding in results.

    Raises:
        ValueError: `logits`, which stand in no block.
    """
    if name == "input":
        return -1
    node = node_of(name)
    if node == "logits":
        raise ValueError("`logits` stand in no block. Ask heads, MLPs or the input.")
    return int(node.partition(".")[0][1:])


def _index(kind: str, name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise unknown(f"{kind} of this graph", name, names)
    return names.index(name)
