"""Whether a circuit has all that matters, and nothing else."""

from typing import Literal

import torch
import xarray
from jaxtyping import Bool
from torch import Tensor

from vitreous.circuits._evaluation_runs import require_edges, values_of
from vitreous.models import Graph, Pairs, TokenGroups, as_numbers, node_of

Level = Literal["edge", "node"]


def completeness(
    pairs: Pairs,
    circuit: Graph,
    *,
    level: Level = "edge",
    n_subsets: int = 20,
    seed: int = 0,
    groups: TokenGroups | None = None,
    max_batch: int = 64,
) -> xarray.Dataset:
    """Whether circuit and model lose the same when the same parts of the circuit are removed.

    `|m(circuit without K) - m(model without K)|` for subsets K of the circuit, `m` being the mean
    of the target over pairs. A circuit that lacks what takes over when its parts fail (backup
    heads) is faithful and not complete: without K it does less than the model without K.

    Args:
        pairs: From `Pairs.of`.
        circuit: Whose included edges are the circuit.
        level: Whether K is made of edges, or of nodes with all edges from and to them.
        n_subsets: Random subsets, each member in with a chance of one half; the first is empty.
        seed: Of them.
        groups: Which tokens are in which group of the graph.
        max_batch: The most rows that run at once.

    Returns:
        `incompleteness[subset]`, in units of the output, lower is better; `circuit[subset]` and
        `model[subset]`, the two means; `members[subset]`, how many were removed. `attrs["unit"]`
        is m(model) - m(empty), by which to divide.

    Raises:
        ValueError: The circuit is empty.

    References:
        Wang et al., "Interpretability in the Wild", 2022, section 4.2. Departs from it: edges, or
        nodes, for heads; the corrupt run for mean ablation; subsets by chance alone, no greedy
        search for the worst, so that this is a lower bound on it.
    """
    members, _ = members_of(circuit, level)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(n_subsets, len(members), generator=generator) < 0.5
    chosen[:1] = False
    removed = _union(members, chosen)
    sets = torch.cat([circuit.included & ~removed, circuit.possible & ~removed])
    values = values_of(pairs, circuit, sets, groups=groups, max_batch=max_batch).mean(1)
    ours, whole = values.split(n_subsets)
    return xarray.Dataset(
        {
            "incompleteness": ("subset", as_numbers((ours - whole).abs())),
            "circuit": ("subset", as_numbers(ours)),
            "model": ("subset", as_numbers(whole)),
            "members": ("subset", chosen.sum(1).numpy()),
        },
        attrs={"unit": _unit(pairs), "target_name": pairs.target.name, "level": level},
    )


def minimality(
    pairs: Pairs,
    circuit: Graph,
    *,
    level: Level = "edge",
    n_subsets: int = 4,
    seed: int = 0,
    groups: TokenGroups | None = None,
    max_batch: int = 64,
) -> xarray.Dataset:
    """Whether every member of a circuit does something, at least once others are gone.

    `|m(circuit without K) - m(circuit without K and v)|` for each member v, the largest over
    some sets K. Without a K, members that do the same work would look idle.

    Args:
        pairs: From `Pairs.of`.
        circuit: Whose included edges are the circuit.
        level: Whether members are edges, or nodes with all edges from and to them.
        n_subsets: Sets K: the empty one, and random ones with each other member in with a chance
            of one half.
        seed: Of them.
        groups: Which tokens are in which group of the graph.
        max_batch: The most rows that run at once.

    Returns:
        `minimality[component]`, in units of the output: a member near 0 can go; and
        `effect[component, subset]`, with its sign, positive where v speaks for the target.
        `component` are names. `attrs["unit"]` is m(model) - m(empty), by which to divide.

    Raises:
        ValueError: The circuit is empty.

    References:
        Wang et al., "Interpretability in the Wild", 2022, section 4.3. Departs from it: edges, or
        nodes, for heads; the corrupt run for mean ablation; K by chance, where they choose it by
        hand for each head, so that this is a lower bound on it.
    """
    members, names = members_of(circuit, level)
    generator = torch.Generator().manual_seed(seed)
    others = torch.rand(len(members), n_subsets, len(members), generator=generator) < 0.5
    others[:, :1] = False
    others[torch.arange(len(members)), :, torch.arange(len(members))] = False
    without = circuit.included & ~_union(members, others.flatten(0, 1))
    sets = torch.cat([without, without & ~members.repeat_interleave(n_subsets, 0)])
    values = values_of(pairs, circuit, sets, groups=groups, max_batch=max_batch).mean(1)
    before, behind = values.view(2, len(members), n_subsets)
    effect = before - behind
    return xarray.Dataset(
        {
            "minimality": ("component", as_numbers(effect.abs().amax(1))),
            "effect": (("component", "subset"), as_numbers(effect)),
        },
        coords={"component": names},
        attrs={"unit": _unit(pairs), "target_name": pairs.target.name, "level": level},
    )


def members_of(
    circuit: Graph, level: Level
) -> tuple[Bool[Tensor, "components groups sources destinations"], list[str]]:
    """The edges that go with each member of a circuit, and its name."""
    require_edges(circuit)
    if level == "edge":
        edges = circuit.edges()
        places = torch.tensor([circuit.index(*edge[:3]) for edge in edges])
        masks = torch.zeros(len(edges), *circuit.possible.shape, dtype=torch.bool)
        masks[torch.arange(len(edges)), places[:, 0], places[:, 1], places[:, 2]] = True
        return masks, [str(edge) for edge in edges]
    if level != "node":
        raise ValueError(f"`level` must be 'edge' or 'node'; got {level!r}. Pass one of them.")
    nodes = list(dict.fromkeys(edge.source for edge in circuit.edges()))
    nodes = [name for name in circuit.sources if name in nodes]
    read = [node_of(name) for name in circuit.destinations]
    masks = torch.zeros(len(nodes), *circuit.possible.shape, dtype=torch.bool)
    for place, node in enumerate(nodes):
        masks[place, :, circuit.sources.index(node)] = True
        masks[place, :, :, [name == node for name in read]] = True
    return masks & circuit.possible, nodes


def _union(
    members: Bool[Tensor, "components groups sources destinations"],
    chosen: Bool[Tensor, "sets components"],
) -> Bool[Tensor, "sets groups sources destinations"]:
    together = chosen.float() @ members.flatten(1).float()
    return (together > 0).unflatten(1, members.shape[1:])


def _unit(pairs: Pairs) -> float:
    return float(pairs.clean_value.mean() - pairs.corrupt_value.mean())
