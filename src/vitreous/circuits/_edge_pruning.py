"""A mask on every edge, learned by gradient descent."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitreous.circuits._distance import Metric, distance_of_none, distances, require_metric
from vitreous.circuits._masked_runs import MaskedRuns
from vitreous.circuits._written import require_batch
from vitreous.models import Graph, Pairs, TokenGroups

_TEMPERATURE, _LOW, _HIGH = 2 / 3, -0.1, 1.1
# Of a logit of 10, one mask in five thousand is below 1, and the others have no gradient: too
# few for graphs of a hundred edges and hundreds of steps.
_START = 2.0


def edge_pruning(
    pairs: Pairs,
    graph: Graph,
    *,
    groups: TokenGroups | None = None,
    sparsity: float = 0.9,
    steps: int = 300,
    learning_rate: float = 0.3,
    batch: int = 32,
    metric: Metric = "kl",
    seed: int = 0,
    max_batch: int = 64,
) -> Float[Tensor, "groups sources destinations"]:
    """Learns which edges can go together: a random mask on each, and a price on those that stay.

    Each edge has a logit `a`. A step draws masks `clamp(1.2 sigmoid((logit(u) + a) / T) - 0.1, 0,
    1)` with `u` uniform and `T = 2/3`, which are often exactly 0 or 1, and runs a batch of pairs
    with them. It lowers the distance to the full model plus `l1 (t - s) + l2 max(t - s, 0)^2`,
    where `s` is the share of edges that the masks remove and `t` what it should be; the prices
    `l1` and `l2` rise by gradient ascent as long as `s` isn't there, and never fall below 0. `t`
    grows from 0 to `sparsity` over five sixths of the steps, the learning rate over the first
    fifteenth.

    Costs `steps` forward and backward passes with inputs of their own for every head. Unlike
    methods that try one edge at a time, it finds edges that matter only together; unlike them it
    depends on its seed and on `sparsity`: it ranks edges well near that share alone.

    Args:
        pairs: From `Pairs.of`. All are held at once.
        graph: Of their model.
        groups: Which tokens are in which group of the graph.
        sparsity: The share of edges to remove.
        steps: Of Adam.
        learning_rate: For logits and prices.
        batch: Pairs per step, taken in turn.
        metric: As in `acdc`; divided by the empty circuit's.
        seed: For the first logits and the masks.
        max_batch: The most pairs that run at once.

    Returns:
        `-log(1 - p)` with `p = sigmoid(a)`, which grows with the chance that an edge is kept and
        is never negative.

    References:
        Bhaskar et al., "Finding Transformer Circuits with Edge Pruning", 2024, section 3; masks
        of Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", 2018,
        section 2.2. Departs from it: no masks on whole nodes, 300 steps for 3,000, a learning
        rate of 0.3 instead of 0.8, logits that begin at 2 instead of 10, prices that never pay
        for keeping an edge (else idle edges run to where masks have no gradient), a distance
        that is divided by the empty circuit's, and no threshold, since `top` sets the size.
    """
    if not 0 < sparsity < 1:
        raise ValueError(
            f"`sparsity` must lie between 0 and 1; got {sparsity}. Pass the share of edges to "
            "remove, such as 0.9."
        )
    require_batch(max_batch)
    require_batch(batch, "batch")
    at_once = min(batch, max_batch)
    batches = [
        MaskedRuns(
            pairs.at(slice(start, start + at_once)),
            graph,
            groups=None if groups is None else groups.at(slice(start, start + at_once)),
            max_batch=max_batch,
        )
        for start in range(0, len(pairs), at_once)
    ]
    require_metric(metric, batches[0])
    unit = [distance_of_none(runs, metric) for runs in batches]
    learned = _Masks(graph, pairs.clean, seed, learning_rate)
    for step in range(steps):
        runs, size = batches[step % len(batches)], unit[step % len(batches)]
        keep = learned.drawn()
        distance = distances(runs, keep[None], metric)[0] / size
        learned.step(distance, keep, sparsity, step / steps)
    return learned.scores()


class _Masks:
    """Logits of edges and the two prices, with what trains them."""

    def __init__(self, graph: Graph, like: Tensor, seed: int, learning_rate: float) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.possible = graph.possible.to(like.device)
        self.like = like
        first = _START + 0.01 * torch.randn(graph.possible.shape, generator=self.generator)
        self.logits = first.to(like.device).requires_grad_()
        self.prices = torch.zeros(2, device=like.device, requires_grad=True)
        self.rate = learning_rate
        self.down = torch.optim.Adam([self.logits], learning_rate)
        self.up = torch.optim.Adam([self.prices], learning_rate, maximize=True)

    def drawn(self) -> Float[Tensor, "groups sources destinations"]:
        """Masks in [0, 1]."""
        uniform = torch.rand(self.logits.shape, generator=self.generator).clamp(1e-6, 1 - 1e-6)
        noise = uniform.logit().to(self.logits.device)
        soft = ((noise + self.logits) / _TEMPERATURE).sigmoid()
        return (_LOW + (_HIGH - _LOW) * soft).clamp(0, 1).to(self.like.dtype)

    def step(self, distance: Tensor, keep: Tensor, sparsity: float, progress: float) -> None:
        too_many = keep[self.possible].mean() - 1 + sparsity * min(1.0, progress * 6 / 5)
        dear = self.prices[0] * too_many + self.prices[1] * too_many.clamp_min(0).square()
        loss = distance + dear
        self.logits.grad, self.prices.grad = torch.autograd.grad(loss, [self.logits, self.prices])
        for optimizer in (self.down, self.up):
            optimizer.param_groups[0]["lr"] = self.rate * min(1.0, (progress + 1e-3) * 15)
            optimizer.step()
        with torch.no_grad():
            self.prices.clamp_min_(0)

    def scores(self) -> Float[Tensor, "groups sources destinations"]:
        # Of a logit of 20, one minus its probability is no number of single precision any more.
        kept = functional.softplus(self.logits.detach().double())
        return (kept * self.possible).cpu()
