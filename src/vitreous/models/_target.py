"""What is being explained: a number per image, and where in the stream it is read."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from vitreous._errors import HookError
from vitreous.models._map_pooling import MapPooling
from vitreous.models._norms import Norm

# What `torch.nn.functional.normalize` takes for the length of shorter vectors.
_SHORTEST = 1e-12

if TYPE_CHECKING:
    from vitreous.models._cache import TransformerCache
    from vitreous.models._transformer import GlassTransformer


@dataclass(frozen=True)
class Readout:
    """A target as a linear reading of the last residual stream, with norms frozen as in a run.

    `(weights * resid_post).sum(tokens, d_model) + constant` is the target's value.

    Attributes:
        weights: Zero at tokens that the head doesn't read.
        bias: What biases of a pooling and of the head say, and the target's own constant; one
            number per image, like the next two.
        norm_bias: What the bias of the final norm says.
        pooling_mlp: What the MLP of a pooling by attention says, which isn't divided among those
            that it reads; None where there is no such MLP.
    """

    weights: Float[Tensor, "batch tokens d_model"]
    bias: Float[Tensor, " batch"]
    norm_bias: Float[Tensor, " batch"]
    pooling_mlp: Float[Tensor, " batch"] | None = None

    @property
    def constant(self) -> Float[Tensor, " batch"]:
        """All that isn't read from the last stream."""
        constant = self.bias + self.norm_bias
        return constant if self.pooling_mlp is None else constant + self.pooling_mlp


@dataclass(frozen=True)
class Target:
    """What is being explained; made by `model.target`.

    Attributes:
        name: How reports call it, for example `"cat - dog"`.
        model: Whose output it is about.
        coefficients: The weight of each output, `[1 or images, outputs]`; None for a function.
        function: The metric, where the target is one.
        constant: What is added, `[1 or images]`; None for nothing.
        normalizes: Whether outputs are embeddings that are divided by their length first.
    """

    name: str
    model: "GlassTransformer" = field(repr=False)
    coefficients: Float[Tensor, "batch labels"] | None = None
    function: Callable[[Tensor], Tensor] | None = None
    constant: Float[Tensor, " batch"] | None = None
    normalizes: bool = False

    def __call__(self, logits: Float[Tensor, "batch *tokens labels"]) -> Float[Tensor, " batch"]:
        """The target's value for each image, in the units of the output (logits)."""
        if self.function is not None:
            return self._checked(self.function(logits), logits)
        coefficients = self.on_outputs().to(logits)
        n_outputs = coefficients.shape[-1]
        if logits.ndim != 2 or logits.shape[-1] != n_outputs:
            raise ValueError(
                f"A target must read one output per image, [images, {n_outputs}]; got shape "
                f"{list(logits.shape)}. Use a function for a model that pools nothing."
            )
        self.require_rows(len(logits))
        logits = functional.normalize(logits, dim=-1) if self.normalizes else logits
        value = (logits * coefficients).sum(-1)
        return value if self.constant is None else value + self.constant.to(logits)

    def readout(self, cache: "TransformerCache", *, centered: bool = True) -> Readout:
        """The target as weights on the last residual stream of one run.

        Exact: norm scales, pooling weights and the length of an embedding that is divided by it
        are those of the run, so the reading is linear.

        Args:
            cache: The run.
            centered: Whether the weights take off each vector's mean, as the final norm does.
                Without, they read more than the target: what the mean of the stream says.

        Raises:
            ValueError: The target is a function, or the model pools nothing, or is another one
                than that of the run.
            HookError: A hook replaced what lies between the stream and the output.
        """
        require_own(self, cache.model)
        require_untouched_readout(cache)
        with cache.as_in_the_run():
            return self._linear_reading(cache, centered)

    def of_images(self, index: Int[Tensor, " batch"]) -> "Target":
        """The same target for some of the images that it is about."""
        if self.coefficients is None or len(self.coefficients) == 1:
            return self
        own = self.constant
        if own is not None and len(own) > 1:
            own = own[index.to(own.device)]
        coefficients = self.coefficients[index.to(self.coefficients.device)]
        return replace(self, coefficients=coefficients, constant=own)

    @property
    def direction(self) -> Float[Tensor, " d_model"]:
        """The one vector that reads this target from a normalized, centered residual.

        The unembedding of the target with the final norm's gain folded in, and centered where
        that norm centers: at each token that is read, the target's share is
        `direction @ residual / scale`, times the pooling weight.

        Raises:
            ValueError: No single vector exists: for functions, for targets that differ from image
                to image, for embeddings that are divided by their length, and for models with two
                heads or two halves of one, or that pool by attention. Use `readout(cache)` there.
        """
        coefficients = self.on_outputs()
        model = self.model
        why = "one target per image" if len(coefficients) != 1 else _lacks_one_direction(model)
        why = "embeddings that are divided by their length" if self.normalizes else why
        if why is not None:
            raise ValueError(
                f"`direction` exists where one vector suffices; got {why}. "
                "Use `target.readout(cache).weights`."
            )
        [direction] = self._head_direction(0, coefficients.to(model.placement))
        norm = model.ln_final
        return direction if norm is None else norm.transposed(direction, direction.new_ones(1))

    def _linear_reading(self, cache: "TransformerCache", centered: bool) -> Readout:
        model = self.model
        coefficients = self.on_outputs().to(model.placement)
        n_images = cache.n_images
        self.require_rows(n_images)
        if self.normalizes:
            output = cache.at("hook_post_head_pre_normalize")
            length = output.norm(dim=-1, keepdim=True).clamp_min(_SHORTEST)
            coefficients = coefficients / length
        directions, bias = self._behind_norm(coefficients, cache)
        if self.constant is not None:
            bias = bias + self.constant.to(bias)
        norm, first = model.ln_final, model.cfg.pooling.normalizes_tokens
        said_by_norm = bias.new_zeros(1)
        if norm is not None and not first:
            said_by_norm = _bias_of(norm, directions)
            scale = cache.at("ln_final.hook_scale")
            directions = norm.transposed(directions, scale, centered=centered)
        weights, added, mlp = self._on_tokens(directions, cache)
        if norm is not None and first:
            said_by_norm = _bias_of(norm, weights)
            weights = norm.transposed(weights, cache.at("ln_final.hook_scale"), centered=centered)
        return Readout(
            weights.expand(n_images, -1, -1),
            (bias + added).expand(n_images),
            said_by_norm.expand(n_images),
            mlp,
        )

    def _behind_norm(
        self, coefficients: Tensor, cache: "TransformerCache"
    ) -> tuple[Float[Tensor, "batch heads d_pooled"], Float[Tensor, " batch"]]:
        """What each head reads in what was pooled, and the constant that it adds."""
        model = self.model
        n_heads = 1 + model.pooling.reads_distillation
        directions = [self._head_direction(i, coefficients) / n_heads for i in range(n_heads)]
        constants = [self._head_constant(i, coefficients) / n_heads for i in range(n_heads)]
        return torch.stack(directions, 1), sum(constants[1:], constants[0])

    def _on_tokens(
        self, directions: Float[Tensor, "#batch heads d_pooled"], cache: "TransformerCache"
    ) -> tuple[
        Float[Tensor, "batch tokens d_model"],
        Float[Tensor, " batch"],
        Float[Tensor, " batch"] | None,
    ]:
        """The same directions on tokens, and what biases and the MLP of the pooling add."""
        pooling = self.model.pooling
        if pooling.map is not None:
            return _through_map(pooling.map, directions[:, 0], cache)
        if pooling.kind == "cls_mean":
            directions = directions.unflatten(-1, (2, -1)).squeeze(1)
        rows = [
            torch.atleast_2d(row) for row in pooling.token_weights(cache._run.layout, directions)
        ]
        on_tokens = torch.stack(torch.broadcast_tensors(*rows), 1)
        count = max(len(on_tokens), len(directions))
        directions, on_tokens = (x.expand(count, -1, -1) for x in (directions, on_tokens))
        weights = torch.einsum("bpm,bpt->btm", directions, on_tokens)
        return weights, directions.new_zeros(len(directions)), None

    def on_outputs(self) -> Float[Tensor, "batch labels"]:
        """`coefficients`, where there are some.

        Raises:
            ValueError: The target is a function.
        """
        if self.coefficients is None:
            raise ValueError(
                f"`readout` and `direction` need a target that is linear in the output; got the "
                f"function {self.name!r}. Use class names, indices or a vector."
            )
        return self.coefficients

    def _head_direction(self, place: int, coefficients: Tensor) -> Float[Tensor, "batch d_model"]:
        head = (self.model.head.linear, self.model.head.distillation)[place]
        return coefficients if head is None else coefficients @ head.weight

    def _head_constant(self, place: int, coefficients: Tensor) -> Float[Tensor, " batch"]:
        head = (self.model.head.linear, self.model.head.distillation)[place]
        if head is None or head.bias is None:
            return coefficients.new_zeros(len(coefficients))
        return coefficients @ head.bias

    def require_rows(self, n_images: int) -> None:
        """Raises where a list of targets has another number of images."""
        rows = len(self.on_outputs())
        if rows not in (1, n_images):
            raise ValueError(
                f"A list of targets must have one per image; got {rows} for {n_images} images. "
                "Pass a tuple for a group of classes."
            )

    def _checked(self, value: Any, logits: Tensor) -> Tensor:
        if not isinstance(value, Tensor) or value.shape != (len(logits),):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"A metric must return one number per image, shape [{len(logits)}]; got {got}. "
                "Reduce over classes and keep the images."
            )
        return value


def _lacks_one_direction(model: "GlassTransformer") -> str | None:
    if model.pooling.reads_distillation:
        return "a model with two heads"
    kinds = {"map": "a model that pools by attention", "cls_mean": "a head that reads two vectors"}
    return kinds.get(model.pooling.kind)


def _bias_of(norm: Norm, directions: Float[Tensor, "batch positions width"]) -> Tensor:
    if norm.b is None:
        return directions.new_zeros(1)
    return (directions * norm.b).sum((1, 2))


def _through_map(
    pool: MapPooling, direction: Float[Tensor, "#batch d_pooled"], cache: "TransformerCache"
) -> tuple[
    Float[Tensor, "batch tokens d_model"],
    Float[Tensor, " batch"],
    Float[Tensor, " batch"] | None,
]:
    """Through a pooling by attention, its pattern and what its MLP wrote held as in the run."""
    pattern = cache.at("pooling.map.hook_pattern")
    bias, mlp = direction.new_zeros(1), None
    if pool.out_norm is not None:
        scale = cache.at("pooling.map.out_norm.hook_scale")[:, 0]
        bias = _bias_of(pool.out_norm, direction[:, None])
        direction = pool.out_norm.transposed(direction, scale)
    bias = bias + direction @ pool.output_bias
    if pool.mlp is not None:
        written = cache.at("pooling.map.hook_mlp_out")
        mlp = (direction * written[:, 0]).sum(-1)
    weights = pool.token_directions(direction.expand(len(pattern), -1), pattern)
    return weights, bias.expand(len(pattern)), mlp


def require_own(target: Target, model: Any) -> None:
    if target.model is not model:
        raise ValueError(
            f"A target must be about the model that it is used with; got {target.name!r} of "
            "another. Make it with this model's `target`."
        )


def require_untouched_readout(cache: "TransformerCache") -> None:
    """Raises when a hook of the run edited what lies between the stream and the output."""
    points = ("ln_final.hook_normalized", "hook_ln_final", "hook_post_head_pre_normalize")
    touched = sorted(
        name for name in cache.edited if name in points or name.startswith("pooling.map.")
    )
    if touched:
        raise HookError(
            f"A readout must be linear in the last stream; a hook replaced `{touched[0]}` in this "
            "run. Read a run without that hook."
        )
