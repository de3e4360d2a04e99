"""Weights by the names that researchers use."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.models._derivation import weight_versions
from vitreous.models._factored_matrix import FactoredMatrix
from vitreous.models._read_only import ReadOnly, no_bias, share_memory

if TYPE_CHECKING:
    from vitreous.models._base_embedding import BaseEmbedding
    from vitreous.models._block import Block
    from vitreous.models._config import TransformerConfig
    from vitreous.models._pooling import Head
    from vitreous.models._positions import Layout


class WeightViews(nn.Module):
    """Model-wide stacks of weights.

    Stacks are copies for reading, without gradient: cached, and rebuilt when a parameter changed.
    What should change the model goes to a block's own views, such as `model.blocks[3].attn.W_Q`.
    An attention over time has block views alone: `model.blocks[3].attn_time.W_Q`.
    Whatever isn't a live view of a parameter raises `HookError` when it is written to.
    Writing to `.data` of a parameter escapes torch's version counters, and these caches with them.
    """

    blocks: "Sequence[Block]"
    embedding: "BaseEmbedding"
    head: "Head"
    cfg: "TransformerConfig"
    layout: "Layout"

    @property
    def W_Q(self) -> Float[Tensor, "layers heads d_model d_head"]:
        return self._stack("W_Q", lambda block: block.attn.W_Q)

    @property
    def W_K(self) -> Float[Tensor, "layers heads d_model d_head"]:
        return self._stack("W_K", lambda block: block.attn.W_K)

    @property
    def W_V(self) -> Float[Tensor, "layers heads d_model d_head"]:
        return self._stack("W_V", lambda block: block.attn.W_V)

    @property
    def W_O(self) -> Float[Tensor, "layers heads d_head d_model"]:
        return self._stack("W_O", lambda block: block.attn.W_O)

    @property
    def b_Q(self) -> Float[Tensor, "layers heads d_head"]:
        return self._stack("b_Q", lambda block: block.attn.b_Q)

    @property
    def b_K(self) -> Float[Tensor, "layers heads d_head"]:
        return self._stack("b_K", lambda block: block.attn.b_K)

    @property
    def b_V(self) -> Float[Tensor, "layers heads d_head"]:
        return self._stack("b_V", lambda block: block.attn.b_V)

    @property
    def b_O(self) -> Float[Tensor, "layers d_model"]:
        return self._stack("b_O", lambda block: block.attn.b_O)

    @property
    def W_in(self) -> Float[Tensor, "layers d_model d_mlp"]:
        return self._stack("W_in", lambda block: self._mlp(block).W_in)

    @property
    def W_out(self) -> Float[Tensor, "layers d_mlp d_model"]:
        return self._stack("W_out", lambda block: self._mlp(block).W_out)

    @property
    def b_in(self) -> Float[Tensor, "layers d_mlp"]:
        return self._stack("b_in", lambda block: self._mlp(block).b_in)

    @property
    def b_out(self) -> Float[Tensor, "layers d_model"]:
        return self._stack("b_out", lambda block: self._mlp(block).b_out)

    @property
    def W_E(self) -> Float[Tensor, "pixels d_model"]:
        """The embedding as a matrix, of patches or of tokens; see `model.embedding.W_E`."""
        return self.embedding.W_E

    @property
    def b_E(self) -> Float[Tensor, " d_model"]:
        """The bias of the patch embedding."""
        return self.embedding.b_E

    @property
    def W_pos(self) -> Float[Tensor, "tokens d_model"]:
        """What is added to each token at the configured image size; zero rows where nothing is.

        The parameter itself where every token has a position that was learned.
        """
        positions = self.embedding.positions(self.layout)
        if positions is None:
            raise ValueError(
                "`W_pos` needs a position embedding; got a model without one. "
                "See `model.cfg.position`."
            )
        learned = self.embedding.pos
        if learned is None:
            why = "they are computed here. Use `PositionConfig('learned')`"
        elif self.cfg.position is not None and self.cfg.position.frames == "added":
            why = "here they are sums. Write to `model.embedding.pos` and `.pos_time`"
        elif not share_memory(positions, learned):
            why = "only patches have some here. Write to `model.embedding.pos`"
        else:
            return positions
        return ReadOnly.of(
            positions, f"`model.W_pos` must be learned positions to be written to; {why}."
        )

    @property
    def W_U(self) -> Float[Tensor, "d_model labels"]:
        """The unembedding (of the class token's head, where there are two); a live view."""
        return self._head().weight.T

    @property
    def b_U(self) -> Float[Tensor, " labels"]:
        head = self._head()
        if head.bias is None:
            return no_bias("model.b_U", head.weight, (head.out_features,), "head_bias=True")
        return head.bias

    @property
    def QK(self) -> FactoredMatrix:
        """`W_Q @ W_K.T` per layer and head; raises for models that normalize queries and keys."""
        _ = self.blocks[0].attn.QK  # raises, with the reason
        return FactoredMatrix(self.W_Q, self.W_K.transpose(-1, -2))

    @property
    def OV(self) -> FactoredMatrix:
        """`W_V @ W_O` per layer and head; raises for models with a norm around `W_O`."""
        _ = self.blocks[0].attn.OV  # raises, with the reason
        return FactoredMatrix(self.W_V, self.W_O)

    def all_head_labels(self) -> list[str]:
        """`L0H0`, `L0H1`, ... in the order of the stacks, without heads over time."""
        return [f"L{i}H{h}" for i in range(self.cfg.n_layers) for h in range(self.cfg.n_heads)]

    def accumulated_bias(
        self, layer: int, *, mlp_input: bool = False, include_mlp_biases: bool = True
    ) -> Float[Tensor, " d_model"]:
        """The sum of all output biases that lie in the stream when it enters a block.

        Args:
            layer: The block; `n_layers` for what leaves the last one.
            mlp_input: Whether to include the attention of `layer` itself.
            include_mlp_biases: Whether MLP biases count.
        """
        last = self.cfg.n_layers - mlp_input
        if not 0 <= layer <= last:
            raise ValueError(f"`layer` must lie in 0..{last}; got {layer}. Choose another.")
        has_norm = self.cfg.out_norm is not None or self.cfg.attention.z_norm is not None
        uneven = "with a norm behind them" if has_norm else "with an attention over time"
        if has_norm or self.cfg.divides_space_time:
            raise ValueError(
                "`accumulated_bias` needs outputs whose bias is the same for every token; got a "
                f"model {uneven}. Use the row 'bias' of "
                "`cache.get_full_resid_decomposition`."
            )
        bias = next(self.parameters()).new_zeros(self.cfg.d_model)
        for i, block in enumerate(self.blocks):
            if i < layer or (mlp_input and i == layer):
                bias = bias + block.attn.b_O
            if i < layer and include_mlp_biases and block.mlp is not None:
                bias = bias + block.mlp.b_out
        return bias

    def tokens_to_residual_directions(
        self, labels: int | Sequence[int]
    ) -> Float[Tensor, "... d_model"]:
        """Columns of `W_U` for class indices. For an exact reading use `model.target`."""
        return self.W_U.T[labels]

    def _head(self) -> nn.Linear:
        if self.head.linear is None:
            raise ValueError(
                "`W_U` needs a head; got a model that returns features. "
                "Use `model.target(vector)` for a direction in them."
            )
        return self.head.linear

    def _mlp(self, block: "Block"):
        if block.mlp is None:
            raise ValueError("MLP weights need MLPs; got an attention-only model. See `model.cfg`.")
        return block.mlp

    def _stack(self, name: str, weight: "Callable[[Block], Tensor]") -> Tensor:
        cache: dict[str, Tensor] = self.__dict__.setdefault("_stacks", {})
        versions = weight_versions(self)
        uncounted = any(p.is_inference() for p in self.parameters())  # made in inference mode
        if uncounted or self.__dict__.get("_stacks_versions") != versions:
            cache.clear()
            self.__dict__["_stacks_versions"] = versions
        if name not in cache:
            # A stack made in inference mode could take no part in a graph later.
            with torch.inference_mode(False), torch.no_grad():
                stack = torch.stack([weight(block) for block in self.blocks]).detach()
            part = "mlp" if name.endswith(("in", "out")) else "attn"
            cache[name] = ReadOnly.of(
                stack,
                f"`model.{name}` is a copy for reading; got a write, which would change nothing "
                f"in the model. Write to the block's own, `model.blocks[layer].{part}.{name}`.",
            )
        return cache[name]
