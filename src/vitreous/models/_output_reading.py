"""From what was written to the last stream to what it says in the outputs, all norms held."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.models._norms import Norm
from vitreous.models._target import require_untouched_readout

if TYPE_CHECKING:
    from vitreous.models._cache import TransformerCache
    from vitreous.models._map_pooling import MapPooling
    from vitreous.models._transformer import GlassTransformer

_POINTS = (
    "ln_final.hook_scale",
    "pooling.map.hook_pattern",
    "pooling.map.out_norm.hook_scale",
    "hook_post_head_pre_normalize",
)


def output_points(model: "GlassTransformer") -> list[str]:
    """The hook points that a run must hold for an `OutputReading` of it."""
    return [name for name in _POINTS if name in model.hook_dict]


class OutputReading:
    """The linear map from the last stream to the outputs, as it was in one run.

    Norm scales, pooling weights and the pattern of a pooling by attention are those of the run. So
    what the terms of the stream say adds up to what the stream says, which is the output but for
    what no token carries there: biases, and the MLP of a pooling. It is `Target.readout` the other
    way round: one term through the map gives all outputs, where a readout gives one output of all
    terms. A tower's outputs are its embedding, before it is divided by its length.

    Attributes:
        tokens: The tokens that are read.
        weights: What those are summed with, once for each vector that they are pooled to.
    """

    def __init__(self, cache: "TransformerCache", *, behind_head: bool = True) -> None:
        """Reads a run.

        Args:
            cache: The run; `output_points` lists what it must hold.
            behind_head: Whether the outputs are meant; otherwise the features that the head reads.

        Raises:
            HookError: A hook replaced what lies between the stream and the output.
            ValueError: The model pools nothing, or has two heads, and features are asked for.
        """
        require_untouched_readout(cache)
        self.model, self.behind_head = cache.model, behind_head
        if not behind_head and self.model.pooling.reads_distillation:
            raise ValueError(
                "What heads read must be one vector; got a model with two heads. "
                "Ask for the outputs."
            )
        self.tokens = cache.tokens_at("readout")
        with cache.as_in_the_run():
            self.weights = self._token_weights(cache)[..., self.tokens]
        norm, first = self.model.ln_final, self.model.cfg.pooling.normalizes_tokens
        self._behind = None if norm is None or first else cache.at("ln_final.hook_scale")
        pool = self.model.pooling.map
        has_norm = pool is not None and pool.out_norm is not None
        self._map_scale = cache.at("pooling.map.out_norm.hook_scale") if has_norm else None

    def __call__(
        self, rows: Float[Tensor, "batch positions *components d_model"]
    ) -> Float[Tensor, "batch *components labels"]:
        """What terms of the stream say, given at the tokens that are read."""
        return self.of_pooled(self.pooled(rows))

    def pooled(
        self, values: Float[Tensor, "batch positions *components width"]
    ) -> Float[Tensor, "batch groups *components width"]:
        """Values at the tokens that are read, summed with their weights; once for each group."""
        return torch.einsum("bgt,bt...->bg...", self.weights.to(values), values)

    def of_pooled(
        self, pooled: Float[Tensor, "batch groups *components d_model"]
    ) -> Float[Tensor, "batch *components labels"]:
        """What `pooled` terms say."""
        model = self.model
        norm, pool = model.ln_final, model.pooling.map
        if norm is not None and self._behind is None:
            pooled = norm.linear(pooled, pooled.new_ones(1))  # its scale is in the weights
        if pool is not None:
            pooled = self._through_map(pool, pooled)[:, None]
        if model.pooling.kind == "cls_mean":
            pooled = torch.cat(pooled.unbind(1), -1)[:, None]
        if norm is not None and self._behind is not None:
            pooled = _at_scale(norm, pooled, self._behind)
        heads = [model.head.linear, model.head.distillation] if self.behind_head else [None]
        outputs = [
            vector if head is None else vector @ head.weight.T
            for vector, head in zip(pooled.unbind(1), heads, strict=False)
        ]
        return sum(outputs[1:], outputs[0]) / len(outputs)

    def _token_weights(self, cache: "TransformerCache") -> Float[Tensor, "batch groups tokens"]:
        model = self.model
        if model.pooling.map is not None:
            weights = cache.at("pooling.map.hook_pattern")[:, :, 0]
        else:
            rows = model.pooling.token_weights(cache._run.layout, model.placement)
            rows = torch.broadcast_tensors(*(torch.atleast_2d(row) for row in rows))
            weights = torch.stack(rows, 1).expand(cache.n_images, -1, -1)
        if model.ln_final is None or not model.cfg.pooling.normalizes_tokens:
            return weights
        return weights / cache.at("ln_final.hook_scale").transpose(1, 2)

    def _through_map(
        self, pool: "MapPooling", pooled: Float[Tensor, "batch groups *components d_model"]
    ) -> Float[Tensor, "batch *components d_out"]:
        W_V = pool.kv.weight.chunk(2)[1].unflatten(0, (pool.n_heads, pool.d_head))
        W_O = pool.out.weight.unflatten(1, (pool.n_heads, pool.d_head))
        moved = torch.einsum("bg...m,gdm->bg...d", pooled, W_V)
        written = torch.einsum("bg...d,ogd->b...o", moved, W_O)
        if pool.out_norm is None or self._map_scale is None:
            return written
        return _at_scale(pool.out_norm, written, self._map_scale[:, 0])


def _at_scale(norm: Norm, vectors: Tensor, scale: Tensor) -> Tensor:
    """The linear part of a norm; dimensions that the scale lacks stand in front of the last."""
    shape = (*scale.shape[:-1], *[1] * (vectors.ndim - scale.ndim), 1)
    return norm.linear(vectors, scale.reshape(shape))
