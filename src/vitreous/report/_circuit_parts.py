"""What each part of a circuit reads, and who reads it."""

from collections import Counter
from dataclasses import dataclass, field

from vitreous.models import Edge, Graph, layer_of, node_of

_MOST = 4


@dataclass
class Part:
    """A head, an MLP or the input, with its edges in the circuit, those of the largest size first.

    Attributes:
        name: As in the graph: `a0.h1`.
        into: Edges that it reads.
        out: Edges by which others read it.
    """

    name: str
    into: list[Edge] = field(default_factory=list)
    out: list[Edge] = field(default_factory=list)

    @property
    def role(self) -> str:
        """What it is for, as its edges alone say."""
        ends = Counter(edge.destination[-3:] for edge in self.out)
        does = []
        if any(edge.destination == "logits" for edge in self.out):
            does.append("writes the answer")
        if ends["<q>"] or ends["<k>"]:
            does.append("steers attention")
        if ends["<v>"] or any(edge.destination.startswith("m") for edge in self.out):
            does.append("passes on what it read" if self.into else "is read")
        return ", ".join(does) or "is read by nothing in the circuit"

    def reads(self, letter: str) -> str | None:
        """Whom it reads as "q", "k" or "v", or, of an MLP, at all: ""."""
        ending = f"<{letter}>" if letter else self.name
        return _listed([edge.source for edge in self.into if edge.destination.endswith(ending)])

    @property
    def readers(self) -> str | None:
        """Who reads it, and as what."""
        return _listed([edge.destination for edge in self.out])


def parts_of(graph: Graph) -> list[Part]:
    """The parts of a circuit but the logits, in forward order."""
    parts = {name: Part(name) for name in graph.sources}
    for edge in sorted(graph.edges(), key=lambda edge: -abs(edge.score or 0)):
        parts[edge.source].out.append(edge)
        if edge.destination != "logits":
            parts[node_of(edge.destination)].into.append(edge)
    return [part for part in parts.values() if part.into or part.out]


def spoken(name: str) -> str:
    """What a page calls a source or destination: `L0H1 query` for `a0.h1<q>`."""
    node, _, port = name.partition("<")
    if node in ("input", "logits"):
        return node
    if node.startswith("m"):
        return f"MLP {layer_of(node)}"
    head = node.partition(".h")[2]
    as_what = {"q>": " query", "k>": " key", "v>": " value"}.get(port, "")
    return f"L{layer_of(node)}H{head}{as_what}"


def _listed(names: list[str]) -> str | None:
    names = list(dict.fromkeys(names))  # the same from several groups of tokens
    shown = ", ".join(spoken(name) for name in names[:_MOST])
    more = len(names) - _MOST
    return (f"{shown} and {more} more" if more > 0 else shown) or None
