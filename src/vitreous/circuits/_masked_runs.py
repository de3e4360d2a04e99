"""A model that runs with any set of its edges, many sets at once."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous._errors import HookError
from vitreous.circuits._recorded import Recorded, record
from vitreous.circuits._stacked_run import StackedRun, first_layers
from vitreous.circuits._written import Baseline, Written, stand_in
from vitreous.models import (
    GlassTransformer,
    Graph,
    Pairs,
    TokenGroups,
    require_finite,
    within_memory,
)

EVERYWHERE = ("all",)


class MaskedRuns:
    """Runs a model in which only some edges are live, for any number of sets of edges.

    Every destination reads, with `keep` of an edge in [0, 1],
    `sum over sources of keep * live + (1 - keep) * corrupt`, and all biases. All edges give the
    clean run, none gives the corrupt one; in between, `live` is what the source writes in this
    very run. Differentiable by `keep`.

    Sets are stacked along the batch and begin at the first block in which one of them differs
    from the clean run. A destination whose edges are all live shares the model's own pass; only
    the others read inputs of their own. Of the last block, only tokens that are read are run.

    Five numbers per layer, token and width, and one more for each source, are held for each
    pair; the latter while it runs for each set of each pair, too. ViT-B/16 takes 0.1 GB per row.

    Attributes:
        pairs: What is run.
        graph: Its edges; which of them are included doesn't matter here.
    """

    def __init__(
        self,
        pairs: Pairs,
        graph: Graph,
        *,
        groups: TokenGroups | None = None,
        baseline: Baseline | Written = "corrupt",
        max_batch: int = 64,
    ) -> None:
        """Runs both halves of all pairs once.

        Args:
            pairs: From `Pairs.of`.
            graph: Of their model.
            groups: Which tokens are in which group of the graph; None where it has one of all.
            baseline: What a removed edge carries: `"corrupt"`, what its source writes in the
                corrupt run; `"zero"`, nothing; `"mean"`, the mean over all corrupt images, token
                by token.
            max_batch: The most rows, sets times pairs, that run at once.

        Raises:
            ValueError: A graph of another model or of other groups.
            HookError: Somebody hooks the model: the passes here are made of its parts, and come
                by no hook.
            MemoryError: `max_batch` rows don't fit into memory.
        """
        graph.require_model(pairs.model)
        require_unwatched(pairs.model)
        index = _index_of(pairs, graph, groups)
        stands_in = stand_in(pairs, baseline, max_batch=max_batch)
        self.pairs, self.graph, self.max_batch = pairs, graph, max_batch
        self._batches = list(pairs.batches(max_batch))
        indices = [None] * len(self._batches) if index is None else index.split(max_batch)
        self._recorded = [
            record(batch, stands_in, where, len(graph.groups))
            for batch, where in zip(self._batches, indices, strict=True)
        ]
        self._possible = graph.possible.to(pairs.model.placement.device)

    def logits(
        self,
        keep: Float[Tensor, "sets groups sources destinations"]
        | Bool[Tensor, "sets groups sources destinations"],
    ) -> Float[Tensor, "sets batch *tokens labels"]:
        """The model's output on the clean half of each pair, with each set of edges.

        Args:
            keep: How live each edge is, true or false, or in [0, 1]; what it says where there is
                no edge doesn't matter.
        """
        parts = [self._logits(recorded, keep) for recorded in self._recorded]
        return torch.cat(parts, 1)

    def values(
        self,
        keep: Float[Tensor, "sets groups sources destinations"]
        | Bool[Tensor, "sets groups sources destinations"],
    ) -> Float[Tensor, "sets batch"]:
        """The target of each pair, with each set of edges.

        Raises:
            ValueError: It isn't a finite number.
        """
        parts = []
        for batch, recorded in zip(self._batches, self._recorded, strict=True):
            logits = self._logits(recorded, keep)
            parts.append(torch.stack([batch.target(each) for each in logits]))
        return require_finite(torch.cat(parts, 1), self.pairs.target.name)

    @property
    def clean_logits(self) -> Float[Tensor, "batch *tokens labels"]:
        """The output with all edges live."""
        return torch.cat([recorded.logits for recorded in self._recorded])

    def _logits(self, recorded: Recorded, keep: Tensor) -> Tensor:
        self._require_shape(keep)
        if not len(keep):
            return recorded.logits[None][:0]
        require_unwatched(self.pairs.model)
        removed = (1 - keep.to(recorded.logits)) * self._possible
        in_graph = torch.is_grad_enabled() and removed.requires_grad
        touched = (removed.detach() != 0).cpu()
        if in_graph:
            touched = self.graph.possible.cpu().expand_as(touched)
        order = torch.tensor(first_layers(touched.any(1).any(1), recorded)).argsort(stable=True)
        rows = max(1, self.max_batch // recorded.n_pairs)
        with torch.set_grad_enabled(in_graph):
            parts = [
                self._stacked(recorded, removed[chunk.to(removed.device)], touched[chunk])
                for chunk in order.split(rows)
            ]
        return torch.cat(parts)[order.argsort().to(removed.device)]

    def _stacked(self, recorded: Recorded, removed: Tensor, touched: Tensor) -> Tensor:
        with within_memory(len(removed) * recorded.n_pairs):
            return StackedRun(recorded, removed, touched).logits()

    def _require_shape(self, keep: Tensor) -> None:
        shape = list(self.graph.possible.shape)
        if keep.ndim != 4 or list(keep.shape[1:]) != shape:
            raise ValueError(
                f"`keep` must be [sets, {', '.join(map(str, shape))}], one mask of the graph per "
                f"set; got shape {list(keep.shape)}. Use `graph.included[None]` for one set."
            )


def require_unwatched(model: GlassTransformer) -> None:
    """Raises `HookError` where somebody hooks the model."""
    hooked = [point.name for point in model.hook_dict.values() if point.watched]
    if hooked:
        raise HookError(
            f"Sets of edges must run on a model without hooks; got one on `{hooked[0]}`. Leave "
            "the context, or call `model.reset_hooks(including_permanent=True)`."
        )


def _index_of(pairs: Pairs, graph: Graph, groups: TokenGroups | None) -> Tensor | None:
    names = EVERYWHERE if groups is None or groups.is_plain else groups.names
    if names != graph.groups:
        raise ValueError(
            f"`groups` must be those of the graph, {', '.join(graph.groups)}; got "
            f"{', '.join(names)}. Pass the `TokenGroups` that the graph was made of."
        )
    if groups is None or groups.is_plain:
        return None
    groups.require_pairs(len(pairs))
    return groups.index(len(pairs)).to(pairs.clean.device)
