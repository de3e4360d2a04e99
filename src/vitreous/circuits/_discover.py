"""Which edges matter: one front door to all methods."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import unknown
from vitreous.circuits._acdc import acdc
from vitreous.circuits._base_runs import BaseRuns
from vitreous.circuits._edge_pruning import edge_pruning
from vitreous.circuits._exact import exact
from vitreous.circuits._gradient_scores import (
    RULES,
    GradientBatch,
    GradientMethod,
    eap,
    eap_ig,
    eap_ig_activations,
    nodes,
)
from vitreous.data import Images
from vitreous.models import (
    GlassTransformer,
    Graph,
    Pairs,
    Target,
    TokenGroups,
    gathered_halves,
    require_difference,
    within_memory,
)

Search = Callable[..., Float[Tensor, "groups sources destinations"]]

# From two runs of a batch of pairs to the sum of their scores.
GRADIENTS: dict[str, GradientMethod] = {
    "eap": eap,
    "eap-ig": eap_ig,
    "eap-ig-activations": eap_ig_activations,
    "nodes": nodes,
}
# From all pairs to scores: `(pairs, graph, *, groups, max_batch, **options)`, of which the
# options are those that `discover` doesn't know.
SEARCHES: dict[str, Search] = {"exact": exact, "acdc": acdc, "edge-pruning": edge_pruning}
_INTEGRATED = ("eap-ig", "eap-ig-activations")


def discover(
    model: GlassTransformer,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any,
    method: str = "eap",
    *,
    groups: str | Mapping[str, Any] | TokenGroups | None = None,
    steps: int | None = None,
    rule: str = "midpoint",
    max_batch: int = 16,
    **options: Any,
) -> Graph:
    """Scores every edge of a model: how much it matters for a target that the edge stays clean.

    Methods, and what they cost for a batch of pairs (F a forward pass, B a backward pass without
    gradients of parameters; multiplying adds about one F):

    - `"eap"`: the gradient of the clean run at what the destination reads, times what the source
      wrote, clean minus corrupt. 2 F + B. Exact where the target is linear in what is read.
    - `"eap-ig"`: the same, the gradient averaged over runs whose input (the stream that enters
      block 0) lies between corrupt and clean. 2 F + `steps` (F + B).
    - `"eap-ig-activations"`: the same, averaged over runs in which the output of the source's own
      part (the input, all heads of a block, or its MLP) lies between the two, all else live.
      2 F + `steps` times about (F + B) / 2 for each of 2 L + 1 parts.
    - `"nodes"`: the gradient where a node has written times the difference of what it wrote; an
      edge gets, of its two nodes' scores, the one of the smaller size, positive if both are. So
      the best edges are those among the best nodes. 2 F + B.
    - `"exact"`: the target with each edge alone exchanged, as in `exact`. A part of an F per edge.
    - `"acdc"`: edges are taken out one after the other, as in `acdc`; a score is the largest
      threshold that keeps the edge. Up to a part of an F per edge and threshold.
    - `"edge-pruning"`: learned masks, as in `edge_pruning`, of 300 steps. 300 (F + B) or more.

    Gradients mislead where the target isn't nearly linear between the two runs: behind a softmax
    that is sure in the clean run, at a unit that is off in it, and where two paths can each do
    the work. `"eap-ig"` sees some of that; only runs with edges really exchanged see all.

    Args:
        model: Any glass transformer whose heads and MLPs add to the stream.
        clean: Preprocessed images, or `vt.data.Images`.
        corrupt: As many of the same shape; one stands for all.
        target: From `model.target(...)`, or what that takes.
        method: See above.
        groups: Tokens to tell apart: None, `"kinds"`, `"positions"`, positions by name, or
            `TokenGroups`. What nobody reads is then absent; the plain graph keeps all.
        steps: Points of the integrals, None meaning 5; or steps of edge pruning.
        rule: Where they lie on the way from corrupt, 0, to clean, 1: `"midpoint"`,
            (k + 1/2) / steps, or `"left"`, k / steps, for k = 0 .. steps - 1.
        max_batch: Pairs that run at once.
        **options: What only `exact`, `acdc` or `edge_pruning` knows, such as `direction`.

    Returns:
        The graph with all edges included and a score each, in units of the output, the mean over
        pairs: an estimate of target(clean) - target(this edge corrupt), positive where keeping
        the edge clean speaks for the target; or thresholds, or logits of masks, which have no
        sign, of `"acdc"` and `"edge-pruning"`. `attrs` say what was asked, the mean `clean` and
        `corrupt` values, and, for integrated gradients, `completeness_error`: the scores of all
        edges from the input, which should add up to clean - corrupt, minus that.

    Raises:
        UnknownNameError: No method has that name.
        ValueError: Pairs that can't be compared, or a target without gradient.
        UnsupportedModelError: Heads or MLPs that don't add to the stream.
        HookError: An active hook replaced what parts read.
        MemoryError: `max_batch` pairs don't fit.

    References:
        Syed et al., "Attribution Patching Outperforms Automated Circuit Discovery", 2023, eq. 3
        (`"eap"`; the sign is turned: theirs is of corrupting). Hanna et al., "Have Faith in
        Faithfulness", 2024, section 3 (`"eap-ig"`, `"eap-ig-activations"`). Mueller et al.,
        "MIB: A Mechanistic Interpretability Benchmark", 2025 (`"nodes"`). Departs from them:
        midpoints, unless `rule="left"`, which is Hanna's, from corrupt on; with activations, only
        edges from the part that moves are scored by its runs.
    """
    target = model.target(target)
    _require_known(method, options)
    n_steps = 5 if steps is None else steps
    _require_sense(n_steps, rule, max_batch)
    halves = gathered_halves(model, clean, corrupt, max_batch=max_batch)
    chosen = TokenGroups.of(model.layout_for(halves[0]), groups)
    chosen.require_pairs(len(halves[0]))
    graph = chosen.graph(model)
    about = {"method": method, "target": target.name, "pairs": len(halves[0])}
    if method in SEARCHES:
        pairs = Pairs.of(model, *halves, target, max_batch=max_batch)
        options |= {} if steps is None else {"steps": steps}
        scores = SEARCHES[method](pairs, graph, groups=chosen, max_batch=max_batch, **options)
        values = {"clean": pairs.clean_value, "corrupt": pairs.corrupt_value}
    else:
        make = GRADIENTS[method]
        scores, values = _streamed(make, target, halves, graph, chosen, n_steps, rule, max_batch)
    means = {name: float(value.double().mean()) for name, value in values.items()}
    if method in _INTEGRATED:
        gap = float(scores[:, 0].sum()) - (means["clean"] - means["corrupt"])
        means |= {"steps": n_steps, "rule": rule, "completeness_error": gap}
    return replace(graph.scored(scores), attrs=about | means)


def _streamed(
    make: GradientMethod,
    target: Target,
    halves: tuple[Tensor, Tensor],
    graph: Graph,
    groups: TokenGroups,
    steps: int,
    rule: str,
    max_batch: int,
) -> tuple[Float[Tensor, "groups sources destinations"], dict[str, Tensor]]:
    """The mean of a gradient method over pairs, a batch at a time, and what the target says."""
    count = len(halves[0])
    total = torch.zeros(graph.possible.shape, dtype=torch.float64)
    values: dict[str, Tensor] = {}
    for start in range(0, count, max_batch):
        rows = slice(start, min(start + max_batch, count))
        own = target.of_images(torch.arange(count)[rows])
        size = rows.stop - rows.start
        with within_memory(size):
            at_clean = make not in (eap_ig, eap_ig_activations)
            runs = BaseRuns.of(own, halves[0][rows], halves[1][rows], differentiated=at_clean)
            found = {"clean": runs.clean_value, "corrupt": runs.corrupt_value}
            values = {k: torch.cat([values[k], v]) if values else v for k, v in found.items()}
            require_difference(target, values["clean"], values["corrupt"])
            total += make(GradientBatch(runs, graph, groups.at(rows).index(size), steps, rule))
    return torch.where(graph.possible, total / count, 0.0), values


def _require_known(method: str, options: Mapping[str, Any]) -> None:
    names = [*GRADIENTS, *SEARCHES]
    if method not in names:
        raise unknown("method of discovery", method, names, f"There are {', '.join(names)}.")
    if options and method in GRADIENTS:
        raise TypeError(
            f"Method {method!r} takes `groups`, `steps`, `rule` and `max_batch`; got "
            f"{', '.join(map(repr, options))}. Leave it out."
        )


def _require_sense(steps: int, rule: str, max_batch: int) -> None:
    for name, count in {"steps": steps, "max_batch": max_batch}.items():
        if count < 1:
            raise ValueError(f"`{name}` must be at least 1; got {count}. Pass a whole number.")
    if rule not in RULES:
        raise ValueError(
            f"`rule` must be {' or '.join(map(repr, RULES))}; got {rule!r}. Pass one of them."
        )
