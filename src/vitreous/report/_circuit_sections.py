"""From evidence of a circuit to a page: which picture shows which number, and in what words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitreous.report._circuit_evidence import CircuitEvidence
from vitreous.report._circuit_parts import Part, parts_of, spoken
from vitreous.report._earned import earned_by_head
from vitreous.report._sections import signed
from vitreous.view import (
    Bars,
    CircuitGraph,
    Curve,
    Page,
    PatchStrip,
    Picture,
    Section,
    Table,
    TokenMap,
)

_EDGES = 30
_FAITHFUL = 0.8
_ABOUT = {
    "method": "Method",
    "target": "Target of the search",
    "pairs": "Pairs of the search",
    "steps": "Steps of the integral",
    "rule": "Rule of the integral",
    "clean": "Mean target, clean",
    "corrupt": "Mean target, corrupt",
    "completeness_error": "Completeness error",
}


def make_circuit_page(
    evidence: CircuitEvidence,
    pictures: Sequence[tuple[Picture, Picture]],
    roles: Mapping[str, str],
    title: str | None,
    subtitle: str,
    footer: Mapping[str, str],
) -> Page:
    """Lays the evidence out on a page.

    Args:
        evidence: All numbers.
        pictures: Clean and corrupt, of the pairs on which the circuit fails most.
        roles: By part, what is known of it.
        title: Heading of the page; by default the target.
        subtitle: What circuit, of which model.
        footer: Where all this comes from.
    """
    notes = _notes(evidence, roles)
    return Page(
        title=title or f"A circuit for “{evidence.target}”",
        subtitle=subtitle,
        facts=_facts(evidence),
        sections=[
            _picture(evidence, notes),
            _parts(evidence, notes),
            _edges(evidence),
            _faithful(evidence),
            _failures(evidence, pictures),
            _found(evidence),
        ],
        footer=footer,
    )


def _notes(evidence: CircuitEvidence, roles: Mapping[str, str]) -> dict[str, str]:
    """What was told of a part, and the names that its head earns."""
    earned = earned_by_head(evidence.names)
    named = {f"a{layer}.h{head}": names for (layer, head), names in earned.items()}
    both = {name: [role] for name, role in roles.items()}
    for name, names in named.items():
        both.setdefault(name, []).extend(names)
    return {name: "; ".join(said) for name, said in both.items()}


def _facts(evidence: CircuitEvidence) -> dict[str, str]:
    graph = evidence.graph
    heads = [name for name in evidence.effects if name.startswith("a")]
    n_heads = graph.shape.n_layers * graph.shape.n_heads
    held = {None: "not stated", True: "yes", False: "no"}[evidence.held_out]
    return {
        "faithfulness": signed(evidence.faithfulness, 3),
        "edges": f"{graph.count:,} of {graph.n_possible:,} ({100 * evidence.share:.2g}%)",
        "heads": f"{len(heads)} of {n_heads}",
        "held-out pairs": held,
    }


def _picture(evidence: CircuitEvidence, notes: Mapping[str, str]) -> Section:
    return Section(
        "The circuit",
        [CircuitGraph.of(evidence.graph, notes=notes, unit="score of an edge")],
        lede="Who reads whom, from the input at the bottom to the logits at the top. Point at a "
        "part to see its own edges; the slider leaves the smallest out.",
        note="An edge carries what its source wrote in this run; all that isn’t in the circuit "
        "carries what it carries in the corrupt run. An edge says who is read, not what is told.",
        warnings=_warnings(evidence),
    )


def _warnings(evidence: CircuitEvidence) -> list[str]:
    graph, said = evidence.graph, []
    if graph.count == graph.n_possible:
        said.append(
            "All edges of the model are in this circuit, which is the model itself. Choose some: "
            "`graph.top(40)`."
        )
    elif abs(evidence.faithfulness - 1) > 1 - _FAITHFUL:
        said.append(
            f"This circuit gives back {signed(evidence.faithfulness, 2)} of what the target "
            "differs by, not 1: what it shows holds for that part of the model’s behavior."
        )
    idle = graph.count - graph.pruned().count
    if idle:
        said.append(f"{idle} of its edges lead nowhere; `graph.pruned()` drops them.")
    if evidence.held_out is False:
        said.append("It was found on these very pairs; on others it may do worse.")
    searched = graph.attrs.get("target")
    if searched is not None and searched != evidence.target:
        said.append(f"It was found for “{searched}”, and is measured on “{evidence.target}”.")
    return said


def _parts(evidence: CircuitEvidence, notes: Mapping[str, str]) -> Section:
    parts = sorted(parts_of(evidence.graph), key=lambda part: -abs(evidence.effects[part.name]))
    heads = [_head_row(part, evidence, notes) for part in parts if part.name.startswith("a")]
    others = [_other_row(part, evidence, notes) for part in parts if not part.name.startswith("a")]
    whole = float((evidence.faithful["model"] - evidence.faithful["empty"]).mean())
    reads = ["query reads", "key reads", "value reads", "is read by"]
    tables = []
    if heads:
        columns = ["head", "effect", "share", "role", *reads, "known as"]
        tables.append(Table(columns, heads, caption="Heads"))
    if others:
        columns = ["part", "effect", "share", "role", "reads", "is read by", "known as"]
        tables.append(Table(columns, others, caption="MLPs and input"))
    return Section(
        "Heads by role",
        tables,
        lede="What each part is for, as its edges say: those that write to the logits give the "
        "answer, those that queries and keys read steer attention, and those that values and MLPs "
        "read pass something on.",
        note="Effect: what the target falls by, on average, when all edges of the part are taken "
        "out of the circuit; positive speaks for the target. Share: that, divided by what the "
        f"whole model differs from the empty circuit by, {signed(whole)}; shares needn’t add up "
        f"to 1. Readers and sources stand by size of score, four at most.{_named(evidence)}",
    )


def _named(evidence: CircuitEvidence) -> str:
    if not evidence.names:
        return ""
    return " Names that heads earn describe their attention on a data set, not what they do."


def _head_row(part: Part, evidence: CircuitEvidence, notes: Mapping[str, str]) -> list[Any]:
    reads = [part.reads(letter) for letter in "qkv"]
    return [*_start(part, evidence), *reads, part.readers, notes.get(part.name)]


def _other_row(part: Part, evidence: CircuitEvidence, notes: Mapping[str, str]) -> list[Any]:
    return [*_start(part, evidence), part.reads(""), part.readers, notes.get(part.name)]


def _start(part: Part, evidence: CircuitEvidence) -> list[Any]:
    whole = float((evidence.faithful["model"] - evidence.faithful["empty"]).mean())
    effect = evidence.effects[part.name]
    return [spoken(part.name), effect, effect / whole, part.role]


def _edges(evidence: CircuitEvidence) -> Section:
    graph = evidence.graph
    order = sorted(graph.edges(), key=lambda edge: -abs(edge.score or 0))
    grouped, scored = len(graph.groups) > 1, graph.scores is not None
    columns = ["from", "to", *["tokens"] * grouped, *["score"] * scored]
    rows = [
        [
            spoken(edge.source),
            spoken(edge.destination),
            *[edge.group] * grouped,
            *[edge.score] * scored,
        ]
        for edge in order[:_EDGES]
    ]
    more = graph.count - len(rows)
    return Section(
        "Largest edges",
        [Table(columns, rows, decimals=4)],
        note=f"{more:,} more edges, with smaller scores, are in the picture." if more else "",
    )


def _faithful(evidence: CircuitEvidence) -> Section:
    faithful = evidence.faithful
    means = [faithful[name].mean() for name in ("model", "value", "empty")]
    bars = Bars(
        ["full model", "circuit", "empty circuit"],
        np.array([float(each) for each in means], dtype=np.float32),
        unit="mean over pairs",
        caption=f"Target: {evidence.target}",
    )
    curve = _curve(evidence)
    spread = np.percentile(evidence.by_pair, [25, 50, 75])
    quartiles = ", ".join(signed(float(each), 2) for each in spread)
    return Section(
        "How faithful it is",
        [bars] if curve is None else [curve, bars],
        lede="Faithfulness is 0 where the circuit does as little as no edge at all, which is the "
        "corrupt run, and 1 where it does what the whole model does. Above 1, what was left out "
        "speaks against the target.",
        note=f"Quartiles of the faithfulness of single pairs: {quartiles}. The number on top is "
        "that of the means over pairs."
        + ("" if curve else " Without scores of edges there is no curve by size."),
        columns=() if curve is None else (3, 2),
    )


def _curve(evidence: CircuitEvidence) -> Curve | None:
    if evidence.curve is None:
        return None
    found = evidence.curve
    edges = found["edges"].to_numpy()
    asked = (found["size"].to_numpy() * evidence.graph.n_possible).astype(int)
    _, first = np.unique(asked, return_index=True)
    kept = [int(place) for place in first if asked[place] > 0]
    labels = [f"{asked[i]:,} best edges ({edges[i]:,} lead somewhere)" for i in kept]
    return Curve(
        asked[kept].astype(np.float32),
        found["faithfulness"].to_numpy()[kept].astype(np.float32),
        labels,
        mark=(float(evidence.graph.count), evidence.faithfulness),
        mark_label=f"this circuit, {evidence.graph.count:,} edges",
        size_axis="best edges by size of score",
        caption="Faithfulness by size",
    )


def _failures(evidence: CircuitEvidence, pictures: Sequence[tuple[Picture, Picture]]) -> Section:
    places = evidence.worst_first[: len(pictures)]
    furthest = float(np.abs(evidence.by_pair - 1).max())
    labels = [line for place in places for line in _pair_labels(evidence, place)]
    strip = PatchStrip(
        [picture for pair in pictures for picture in pair],
        TokenMap.of(evidence.layout),
        labels,
        caption="Pairs whose faithfulness is furthest from 1",
    )
    return Section(
        "Where it fails",
        [strip] if pictures else [],
        lede="Clean and corrupt, the worst pair first: what the whole model, the circuit and the "
        "empty circuit say of it.",
        note=f"The worst is {signed(furthest, 2)} from 1. Pairs whose two values lie close "
        "together have faithfulnesses of any size.",
    )


def _pair_labels(evidence: CircuitEvidence, place: int) -> tuple[str, str]:
    found = evidence.faithful
    model, empty = (float(found[name][place]) for name in ("model", "empty"))
    circuit = float(found["value"][0, place])
    return (
        f"pair {place}, clean: model {signed(model, 2)}, circuit {signed(circuit, 2)}",
        f"pair {place}, corrupt: empty {signed(empty, 2)}, faithfulness "
        f"{signed(float(evidence.by_pair[place]), 2)}",
    )


def _found(evidence: CircuitEvidence) -> Section:
    attrs = evidence.graph.attrs
    known = [[_ABOUT[key], _told(attrs[key])] for key in _ABOUT if key in attrs]
    held = {
        None: "not stated",
        True: "yes: on other pairs than it was found on",
        False: "no: on the pairs that it was found on",
    }[evidence.held_out]
    rows = [*known, ["Held out", held]]
    rows.append(["Pairs here", str(evidence.faithful.sizes["pair"])])
    rows.append(["All other edges carry", f"what they carry in the {_baseline(evidence)} run"])
    return Section(
        "How it was found",
        [Table(["what", "how"], rows)],
        note="" if known else "The graph doesn’t say how it was found: `graph.attrs` is empty.",
    )


def _baseline(evidence: CircuitEvidence) -> str:
    return str(evidence.faithful.attrs["baseline"])


def _told(value: Any) -> str:
    return signed(value, 4) if isinstance(value, float) else str(value)
