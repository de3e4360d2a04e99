"""Heads, MLPs, input and readout by name, and where in a pass they write and read.

Names are those of `Graph` (`a0.h1`, `a0.h1<q>`, `m0`, `input`, `logits`) or of sites (`L0H1`,
`L0H1<q>`, `L0M`).
"""

import re
from collections.abc import Sequence

from vitreous._errors import unknown
from vitreous.models import GlassTransformer, GraphShape, layer_of, node_of

_SHORT = re.compile(r"L(\d+)(?:H(\d+)(<[qkv]>)?|M)")
Place = tuple[str, int | None]  # a hook point, and a head of it


def shape_of(model: GlassTransformer) -> GraphShape:
    """Names and order of sources and destinations, of models too whose edges don't add up."""
    cfg = model.cfg
    return GraphShape(cfg.n_layers, cfg.n_heads, not cfg.attn_only, cfg.parallel)


def senders_named(shape: GraphShape, names: Sequence[str]) -> tuple[str, ...]:
    """Sources, in forward order."""
    found = {_known("sender", name, shape.sources) for name in names}
    return tuple(sorted(found, key=shape.sources.index))


def receivers_named(shape: GraphShape, names: Sequence[str]) -> tuple[str, ...]:
    """Destinations, in forward order; a head without a letter reads by all three."""
    found = set()
    for name in names:
        plain = _as_in_graphs(name)
        if plain in shape.sources and plain.startswith("a"):
            found |= {f"{plain}<{letter}>" for letter in "qkv"}
        else:
            found.add(_known("receiver", name, shape.destinations))
    return tuple(sorted(found, key=shape.destinations.index))


def leads(shape: GraphShape, sender: str, receiver: str) -> bool:
    """Whether a sender writes before a receiver reads."""
    where = shape.sources.index(sender), shape.destinations.index(receiver)
    return bool(shape.possible[where])


def layer_written(sender: str) -> int:
    """The block to start from for a sender to be written anew."""
    return max(layer_of(sender), 0)


def head_of(name: str) -> int | None:
    """The head of a source or destination; None for others."""
    _, dot, head = node_of(name).partition(".h")
    return int(head) if dot else None


def _as_in_graphs(name: str) -> str:
    match = _SHORT.fullmatch(name)
    if match is None:
        return name
    layer, head, letter = match.groups()
    return f"m{layer}" if head is None else f"a{layer}.h{head}{letter or ''}"


def _known(kind: str, name: str, names: tuple[str, ...]) -> str:
    plain = _as_in_graphs(name)
    if plain not in names:
        raise unknown(kind, name, names, looks_like=plain)
    return plain
