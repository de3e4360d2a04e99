"""How much of what a model does its circuits do."""

from collections.abc import Sequence

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.circuits._evaluation_runs import included_in, values_of
from vitreous.circuits._written import Baseline
from vitreous.models import Graph, Pairs, TokenGroups, as_numbers


def faithfulness(
    pairs: Pairs,
    circuits: Graph | Sequence[Graph],
    *,
    groups: TokenGroups | None = None,
    baseline: Baseline = "corrupt",
    max_batch: int = 64,
) -> xarray.Dataset:
    """How much of a target a circuit gives back: 0 like the empty circuit, 1 like the model.

    `f = (m(circuit) - m(empty)) / (m(model) - m(empty))`, where in the circuit every edge that
    isn't included carries what its source writes in the corrupt run. Above 1, the edges that are
    left out speak against the target.

    Args:
        pairs: From `Pairs.of`.
        circuits: One or more, whose included edges stay.
        groups: Which tokens are in which group of the graphs.
        baseline: What all other edges carry; see `MaskedRuns`.
        max_batch: The most rows that run at once.

    Returns:
        `faithfulness[circuit]` of the means over pairs (the headline, as in MIB),
        `faithfulness_of_pair[circuit, pair]`, whose mean is another number and is ruled by pairs
        whose two values lie close together; `value[circuit, pair]`, `model[pair]` and
        `empty[pair]`, in units of the output; `edges[circuit]`.

    Raises:
        ValueError: The target doesn't differ between model and empty circuit.

    References:
        Mueller et al., "MIB: A Mechanistic Interpretability Benchmark", 2025, section 3.1.
    """
    graphs = [circuits] if isinstance(circuits, Graph) else list(circuits)
    sets = included_in(graphs)
    sets = torch.cat([sets, torch.zeros_like(sets[:1])])
    values = values_of(
        pairs, graphs[0], sets, groups=groups, baseline=baseline, max_batch=max_batch
    )
    *_, empty = values
    return xarray.Dataset(
        {
            "faithfulness": ("circuit", as_numbers(of_means(values[:-1], pairs, empty))),
            "faithfulness_of_pair": (
                ("circuit", "pair"),
                as_numbers((values[:-1] - empty) / (pairs.clean_value - empty)),
            ),
            "value": (("circuit", "pair"), as_numbers(values[:-1])),
            "model": ("pair", as_numbers(pairs.clean_value)),
            "empty": ("pair", as_numbers(empty)),
            "edges": ("circuit", [each.count for each in graphs]),
        },
        attrs={"target_name": pairs.target.name, "baseline": baseline},
    )


def of_means(
    values: Float[Tensor, "sets batch"], pairs: Pairs, empty: Float[Tensor, " batch"]
) -> Float[Tensor, " sets"]:
    """Faithfulness of the means over pairs."""
    whole = pairs.clean_value.mean() - empty.mean()
    size = torch.maximum(pairs.clean_value.abs().mean(), empty.abs().mean())
    if whole.abs() <= 64 * torch.finfo(size.dtype).eps * size:
        raise ValueError(
            f"`{pairs.target.name}` must differ between the full model and the empty circuit; got "
            f"a mean of {pairs.clean_value.mean():.6g} and of {empty.mean():.6g}. Order pairs so "
            "that the clean half says more of the target, or use `faithfulness_of_pair`."
        )
    return (values.mean(1) - empty.mean()) / whole


def split_pairs(pairs: Pairs, share: float = 0.5, *, seed: int = 0) -> tuple[Pairs, Pairs]:
    """Some pairs to find a circuit on, and the others to evaluate it on.

    Args:
        pairs: All of them, two or more.
        share: Of the first part; each part gets a pair at least.
        seed: Of the random order.
    """
    if not 0 < share < 1 or len(pairs) < 2:
        raise ValueError(
            f"`share` must lie between 0 and 1, of two pairs or more; got {share} of {len(pairs)}. "
            "Pass 0.5 for halves."
        )
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    count = min(max(1, round(share * len(pairs))), len(pairs) - 1)
    return pairs.at(order[:count]), pairs.at(order[count:])
