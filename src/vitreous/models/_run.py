"""The values of one run of a model, at the tokens that somebody means."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vitreous._errors import HookError
from vitreous.hooks import ActivationCache, HookNames
from vitreous.models._norms import Norm
from vitreous.models._saving import weight_hash

if TYPE_CHECKING:
    from vitreous.models._derivation import TransformerDerivation
    from vitreous.models._transformer import GlassTransformer


class TransformerRun(ActivationCache):
    """A cache that knows its model, where tokens are, and what hooks edited."""

    def __init__(
        self,
        values: dict[str, Tensor],
        keys: Sequence[str],
        names: HookNames,
        derivation: "TransformerDerivation",
        has_batch_dim: bool = True,
        *,
        edited: frozenset[str] = frozenset(),
        model: "GlassTransformer",
    ) -> None:
        super().__init__(values, keys, names, derivation, has_batch_dim)
        self._run = derivation
        self.model = model
        self.edited = edited

    @property
    def layout(self) -> Any:
        """Where tokens are, at the size that was run.

        Raises:
            ValueError: The run started from a stream of images of another size than the model's,
                and wasn't told `layout=`.
        """
        self._run.layout.require_grid()
        return self._run.layout

    def tokens_at(self, positions: Any) -> list[int]:
        """The indices of tokens; by name or number, they exist where the grid isn't known too."""
        return self._run.layout.select(positions)

    @property
    def n_images(self) -> int:
        return len(next(iter(self._values.values()))) if self.has_batch_dim else 1

    def at(self, name: str, positions: Any = "all") -> Tensor:
        """A value by its full name, always with the image dimension; what derives isn't kept.

        Args:
            name: A hook name.
            positions: Tokens, for a value that has them in its second dimension.
        """
        value = self._read_once(name)
        value = value if self.has_batch_dim else value[None]
        if isinstance(positions, str) and positions == "all":
            return value
        return value[:, self.tokens_at(positions)]

    @contextmanager
    def as_in_the_run(self, *, in_graph: bool = False) -> Iterator[None]:
        """Gradients where values of the run (or others, `in_graph`) have one; its autocast."""
        with_gradient = torch.is_grad_enabled() and (in_graph or self._holds_graph())
        with torch.set_grad_enabled(with_gradient), self._run.in_precision_of_run():
            yield

    def describe_run(self) -> dict[str, Any]:
        """The weights, edits and grid of the run, for `model.load_cache`."""
        # Weights that changed since the run can't be told any more.
        weights = weight_hash(self.model) if self._run.has_its_weights() else None
        layout = self._run.layout.to_json()
        return {"weights": weights, "edited": sorted(self.edited), "layout": layout}

    def require_unedited(self, *parts: str) -> None:
        """Raises when a hook of the run edited a point whose name holds one of `parts`."""
        edited = sorted(name for name in self.edited if any(part in name for part in parts))
        if edited:
            raise HookError(
                f"The rows must add up to the stream; a hook replaced `{edited[0]}` in this run, "
                "which no component wrote. Pass `incl_remainder=True`, or run without that hook."
            )

    def require_run_of(self, model: "GlassTransformer") -> None:
        """Raises when this is a run of another model, or of other weights."""
        if self.model is not model:
            raise HookError(
                "A run must be of the model that goes on with it; got a cache of another model. "
                "Record one with this model's `run_with_cache`."
            )
        if not self._run.has_its_weights():
            raise HookError(
                "A run must have the weights of the model that goes on with it; they have changed "
                "since. Run the model again."
            )

    # ---- places

    def _end(self, layer: int | None, *, mlp_input: bool = False) -> int:
        n_layers = self.model.cfg.n_layers
        end = n_layers if layer is None or layer == -1 else layer
        if not 0 <= end <= n_layers:
            raise ValueError(f"`layer` must lie in 0..{n_layers}; got {layer}. Choose another.")
        if mlp_input and not self.model.cfg.has_resid_mid:
            if self.model.cfg.attn_only:
                needs, got = "MLPs", "an attention-only model"
            else:
                needs, got = "MLPs that follow attention", "a model whose MLPs stand beside it"
            raise ValueError(f"`mlp_input` needs {needs}; got {got}. Leave it at False.")
        if mlp_input and end == n_layers:
            raise ValueError(
                f"`mlp_input` needs a block; got layer {end} of {n_layers}. Pass `layer=`."
            )
        return end

    def _counts(self, layer: int | None, mlp_input: bool = False) -> tuple[int, int]:
        """How many attentions and how many MLPs lie in front of that point of the stream."""
        end = self._end(layer, mlp_input=mlp_input)
        return end + mlp_input, 0 if self.model.cfg.attn_only else end

    def _stream_into(self, end: int) -> tuple[str, str]:
        """Label and name of the stream that enters block `end`, or leaves the last one."""
        if end == self.model.cfg.n_layers:
            return "final_post", f"blocks.{end - 1}.hook_resid_post"
        return f"{end}_pre", f"blocks.{end}.hook_resid_pre"

    def _reading_norm(self, layer: int | None, mlp_input: bool) -> tuple[Norm | None, str]:
        end = self._end(layer, mlp_input=mlp_input)
        if end == self.model.cfg.n_layers:
            return self.model.ln_final, "ln_final"
        name = "ln2" if mlp_input else self.model.blocks[end].attentions[0].norm
        return getattr(self.model.blocks[end], name), f"blocks.{end}.{name}"
