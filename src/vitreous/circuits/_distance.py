"""How far a circuit's output is from the full model's."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitreous.circuits._masked_runs import MaskedRuns

Metric = Literal["kl", "target"]


def distances(
    runs: MaskedRuns, keep: Float[Tensor, "sets groups sources destinations"] | Tensor, by: Metric
) -> Float[Tensor, " sets"]:
    """The mean over pairs of a distance between full model and circuit, for each set of edges.

    Args:
        runs: What runs the sets.
        keep: The sets.
        by: `"kl"`, the divergence of the circuit's distribution over labels from the full
            model's, in nats; or `"target"`, the size of the target's change.
    """
    if by == "target":
        return (runs.values(keep) - runs.pairs.clean_value).abs().mean(1)
    full = functional.log_softmax(runs.clean_logits, -1)
    ours = functional.log_softmax(runs.logits(keep), -1)
    return (full.exp() * (full - ours)).sum(-1).flatten(1).mean(1)


def require_metric(metric: str, runs: MaskedRuns) -> None:
    """Raises where a metric can't tell circuits of a model apart."""
    if metric not in ("kl", "target"):
        raise ValueError(f"`metric` must be 'kl' or 'target'; got {metric!r}. Pass one of them.")
    n_outputs = runs.clean_logits.shape[-1]
    if metric == "kl" and n_outputs < 2:
        raise ValueError(
            f"`metric='kl'` needs a distribution over labels; got a model with {n_outputs} output. "
            "Use `metric='target'`."
        )


def distance_of_none(runs: MaskedRuns, by: Metric) -> float:
    """The distance of the empty circuit.

    Raises:
        ValueError: It isn't a positive number.
    """
    with torch.no_grad():
        distance = distances(runs, torch.zeros_like(runs.graph.possible)[None], by)
    if not 0 < float(distance) < torch.inf:
        raise ValueError(
            f"The output must differ between full model and empty circuit; got a distance of "
            f"{float(distance):.3g} by `{by}`. Choose another metric or other pairs."
        )
    return float(distance)
