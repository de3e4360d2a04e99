"""Graphs as files: a form of our own, which keeps all, and those of EAP-IG and MIB."""

import json
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous._whole import written_whole

if TYPE_CHECKING:
    from vitreous.models._graph import Graph

_FORMAT = "vitreous-graph"
_SHAPE = ("n_layers", "n_heads", "has_mlps", "parallel")
_PT_KEYS = ("cfg", "src_nodes", "dst_nodes", "edges_scores", "edges_in_graph", "nodes_in_graph")


def own_form(graph: "Graph", unread: list[str]) -> dict[str, Any]:
    """Plain values, from which the very same graph is made again."""
    scores = graph.scores
    if scores is not None and not scores.isfinite().all():
        raise ValueError(
            "`scores` must be finite to be written; got some that are NaN or infinite. Replace "
            "them with `graph.scored(scores)`."
        )
    return {
        "format": _FORMAT,
        "shape": {name: getattr(graph.shape, name) for name in _SHAPE},
        "groups": list(graph.groups),
        "unread": unread,
        "attrs": graph.attrs,
        "dtype": None if scores is None else str(scores.dtype).removeprefix("torch."),
        "edges": [[*edge[:3]] for edge in graph.edges()],
        "scores": None if scores is None else scores.tolist(),
    }


def mib_form(graph: "Graph", d_model: int) -> dict[str, Any]:
    """The values of the JSON form of EAP-IG."""
    scores, nodes = graph.require_scores()[0], nodes_in(graph)
    possible = graph.possible[0].nonzero().tolist()
    return {
        "cfg": mib_config(graph, d_model),
        "nodes": {
            **{
                name: {"in_graph": bool(there)}
                for name, there in zip(graph.sources, nodes, strict=True)
            },
            "logits": {"in_graph": True},
        },
        "edges": {
            f"{graph.sources[row]}->{graph.destinations[column]}": {
                "score": float(scores[row, column]),
                "in_graph": bool(graph.included[0, row, column]),
            }
            for row, column in possible
        },
    }


def mib_tensors(graph: "Graph", d_model: int) -> dict[str, Any]:
    """The values of the tensor form of EAP-IG."""
    return {
        "cfg": mib_config(graph, d_model),
        "src_nodes": list(graph.sources),
        "dst_nodes": list(graph.destinations),
        "edges_scores": graph.require_scores()[0].float().clone(),
        "edges_in_graph": graph.included[0].clone(),
        "nodes_in_graph": nodes_in(graph),
    }


def mib_config(graph: "Graph", d_model: int) -> dict[str, Any]:
    """What EAP-IG makes a graph from.

    Raises:
        ValueError: A graph that it has no form for.
    """
    shape = graph.shape
    if len(graph.groups) != 1 or not shape.has_mlps:
        got = "no MLPs" if not shape.has_mlps else f"groups {', '.join(graph.groups)}"
        raise ValueError(
            f"MIB's files hold graphs of all tokens, of models with MLPs; got {got}. Use `to_json`."
        )
    return {
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "parallel_attn_mlp": shape.parallel,
        "d_model": d_model,
    }


def nodes_in(graph: "Graph") -> Bool[Tensor, " sources"]:
    """The sources that an edge of the circuit begins or ends at."""
    ends = {name.partition("<")[0] for edge in graph.edges() for name in edge[:2]}
    return torch.tensor([name in ends for name in graph.sources])


def write_json(plain: dict[str, Any], path: str | os.PathLike[str]) -> None:
    text = json.dumps(plain, allow_nan=False)
    with written_whole(Path(path)) as beside:
        beside.write_text(text, encoding="utf-8")


def write_tensors(plain: dict[str, Any], path: str | os.PathLike[str]) -> None:
    with written_whole(Path(path)) as beside:
        torch.save(plain, beside)


def read_own(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `own_form` gave."""
    plain = _read_json(path)
    if plain.get("format") != _FORMAT:
        raise ValueError(
            f"`{os.fspath(path)}` must be a graph that `to_json` wrote; got another JSON file. "
            "Read files of EAP-IG with `Graph.from_mib`."
        )
    return plain


def read_mib(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The values of either form of EAP-IG, by the end of the name; nothing in it is run."""
    if Path(path).suffix != ".pt":
        return _required(_read_json(path), ("cfg", "nodes", "edges"), path)
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"`{os.fspath(path)}` must hold tensors and plain values alone; got other objects. "
            "Write it with EAP-IG's `to_pt`."
        ) from error
    return _required(plain, _PT_KEYS, path)


def edge_tensors(
    plain: dict[str, Any], graph: "Graph"
) -> tuple[
    Bool[Tensor, "groups sources destinations"], Float[Tensor, "groups sources destinations"]
]:
    """Which edges are in the circuit, and the scores, of what `read_mib` gave.

    Raises:
        ValueError: Other nodes, or in another order, than the configuration in it says.
    """
    if "edges" in plain:
        included, scores = torch.zeros_like(graph.possible), torch.zeros(graph.possible.shape)
        for name, about in plain["edges"].items():
            source, _, destination = name.partition("->")
            where = graph.index(source, destination)
            included[where], scores[where] = about["in_graph"], about["score"]
        return included, scores
    nodes = (tuple(plain["src_nodes"]), tuple(plain["dst_nodes"]))
    if nodes != (graph.sources, graph.destinations):
        raise ValueError(
            "`src_nodes` and `dst_nodes` must be those of the file's `cfg`, in forward order; got "
            f"{len(nodes[0])} and {len(nodes[1])} others. Write the file anew."
        )
    return plain["edges_in_graph"].bool()[None], plain["edges_scores"].float()[None]


def _read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"`{os.fspath(path)}` must be JSON; got text that isn't. Name a file that `to_json` or "
            "EAP-IG wrote."
        ) from error
    return plain if isinstance(plain, dict) else {}


def _required(
    plain: dict[str, Any], keys: tuple[str, ...], path: str | os.PathLike[str]
) -> dict[str, Any]:
    missing = [key for key in keys if key not in plain]
    if missing:
        raise ValueError(
            f"`{os.fspath(path)}` must have {', '.join(keys)}, as EAP-IG writes it; got none of "
            f"{', '.join(missing)}. Write it with `to_json` or `to_pt` there."
        )
    return plain
