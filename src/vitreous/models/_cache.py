"""Residual-stream bookkeeping on the values of one run."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.models._names import get_act_name
from vitreous.models._rows import NEURONS, STREAM, Rows, StreamRows
from vitreous.models._run import TransformerRun

if TYPE_CHECKING:
    from vitreous.models._target import Target

Stack = Float[Tensor, "components *batch tokens d_model"]
Labeled = Stack | tuple[Stack, list[str]]

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def _as_in_the_run(
    method: "Callable[Concatenate[TransformerCache, _Given], _Returned]",
) -> "Callable[Concatenate[TransformerCache, _Given], _Returned]":
    """Computes with gradient where the run's values have one, and in the run's precision."""

    @functools.wraps(method)
    def called(cache: "TransformerCache", *args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        given = (x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))
        with cache.as_in_the_run(in_graph=any(x.requires_grad for x in given)):
            return method(cache, *args, **kwargs)

    return called


class TransformerCache(TransformerRun):
    """The activations of one run of a tower, with the methods that take its stream apart.

    The stream is a sum: embedding, positions, and what attention and MLP of each block add. The
    methods below list the terms. Names and labels are those of TransformerLens; `positions` takes
    what `TokenLayout.select` takes, and the token dimension always stays.
    """

    # ---- the stream itself

    @_as_in_the_run
    def accumulated_resid(
        self,
        layer: int | None = None,
        *,
        incl_mid: bool = False,
        apply_ln: bool = False,
        positions: Any = "all",
        return_labels: bool = False,
    ) -> Labeled:
        """The stream in front of each block up to `layer`, what a logit lens reads.

        Args:
            layer: The last one is what enters this block; None means what leaves the last.
            incl_mid: Whether the stream between the parts of a block is listed too.
            apply_ln: Whether to apply the whole final norm to each, at its own scale.
            positions: Tokens.
            return_labels: Whether to return labels such as `3_pre`, `3_mid`, `final_post` too
                (`3_time` behind an attention over time).
        """
        end = self._end(layer)
        names = [
            (f"{i}_{part}", f"blocks.{i}.hook_resid_{part}")
            for i in range(end)
            for part in ("pre", *(self.model.cfg.inner_points if incl_mid else ()))
        ]
        names.append(self._stream_into(end))
        stack = torch.stack([self.at(name, positions) for _, name in names])
        stack = stack if self.has_batch_dim else stack[:, 0]
        if apply_ln:
            stack = self.apply_ln_to_stack(stack, recompute_ln=True, positions=positions)
        return (stack, [label for label, _ in names]) if return_labels else stack

    @_as_in_the_run
    def decompose_resid(
        self,
        layer: int | None = None,
        *,
        mode: Literal["all", "attn", "mlp"] = "all",
        mlp_input: bool = False,
        apply_ln: bool = False,
        positions: Any = "all",
        incl_embeds: bool = True,
        incl_bias: bool = False,
        incl_remainder: bool = False,
        return_labels: bool = False,
    ) -> Labeled:
        """The stream in front of a block as a sum of what the layers before it added.

        Args:
            layer: Take apart what enters this block; None means what leaves the last.
            mode: Which layers to list.
            mlp_input: Whether to take apart what enters the MLP of `layer` instead.
            apply_ln: Whether to apply the linear part of the norm that reads the stream there, at
                the scale of the run.
            positions: Tokens.
            incl_embeds: Whether embedding and positions are listed.
            incl_bias: Adds the row `bias`: that of a norm in front of the first block. With it,
                and all else, the rows add up to the stream.
            incl_remainder: Adds the row `remainder`: the stream less all rows before it.
            return_labels: Whether to return `embed`, `pos_embed`, `0_attn_out`, `0_mlp_out`, ...
                (`0_attn_time_out` in front of them where attention is divided).
        """
        if mode not in ("all", "attn", "mlp"):
            raise ValueError(f"`mode` must be 'all', 'attn' or 'mlp'; got {mode!r}. Pass one.")
        if not incl_remainder:
            self.require_unedited(*STREAM)
        n_attentions, n_mlps = self._counts(layer, mlp_input)
        parts = StreamRows(self, positions)
        rows = parts.embeddings() if incl_embeds else {}
        rows |= parts.outputs(0 if mode == "mlp" else n_attentions, 0 if mode == "attn" else n_mlps)
        rows |= {"bias": parts.bias()} if incl_bias else {}
        return self._finished(
            rows, layer, mlp_input, apply_ln, positions, incl_remainder, return_labels
        )

    @_as_in_the_run
    def stack_head_results(
        self,
        layer: int | None = None,
        *,
        apply_ln: bool = False,
        positions: Any = "all",
        incl_remainder: bool = False,
        return_labels: bool = False,
    ) -> Labeled:
        """What each head of the blocks before `layer` wrote; labels are `L0H1`.

        Heads of an attention over time come first in their block, as `L0T1`.
        `incl_remainder` adds the rest of the stream: embedding, MLPs and biases. The other
        arguments are those of `decompose_resid`.
        """
        rows = StreamRows(self, positions).heads(self._end(layer))
        return self._finished(
            rows, layer, False, apply_ln, positions, incl_remainder, return_labels
        )

    @_as_in_the_run
    def get_neuron_results(
        self,
        layer: int,
        neuron_slice: Any = None,
        *,
        positions: Any = "all",
        project_output_onto: Float[Tensor, "d_model *right"] | None = None,
    ) -> Float[Tensor, "*batch tokens neurons right"]:
        """What each neuron of one MLP wrote, `[batch tokens neurons d_model]`.

        Args:
            layer: The block.
            neuron_slice: Index, list, slice or mask of neurons; None means all.
            positions: Tokens.
            project_output_onto: A direction, or several as columns, to project each write onto;
                the `d_model` dimension is then never formed.
        """
        n_layers = self.model.cfg.n_layers
        if not -n_layers <= layer < n_layers:
            raise ValueError(f"`layer` must lie in 0..{n_layers - 1}; got {layer}. Choose another.")
        results = StreamRows(self, positions).neuron_results(
            layer % n_layers, neuron_slice, project_output_onto
        )
        return results if self.has_batch_dim else results[0]

    @_as_in_the_run
    def stack_neuron_results(
        self,
        layer: int | None = None,
        *,
        neuron_slice: Any = None,
        apply_ln: bool = False,
        positions: Any = "all",
        incl_remainder: bool = False,
        return_labels: bool = False,
    ) -> Labeled:
        """What each neuron of the blocks before `layer` wrote; labels are `L0N5`.

        `incl_remainder` adds the rest of the stream. Needs memory for every neuron's write: choose
        `positions` and `neuron_slice`.
        """
        rows = StreamRows(self, positions).neurons(self._end(layer), neuron_slice)
        return self._finished(
            rows, layer, False, apply_ln, positions, incl_remainder, return_labels
        )

    @_as_in_the_run
    def get_full_resid_decomposition(
        self,
        layer: int | None = None,
        *,
        mlp_input: bool = False,
        expand_neurons: bool = True,
        apply_ln: bool = False,
        positions: Any = "all",
        return_labels: bool = False,
    ) -> Labeled:
        """The stream as heads, neurons (or MLPs), embedding, positions and bias; the rows add up.

        `bias` holds all output biases of attention (and of MLPs, when neurons are listed), and
        that of a norm in front of the first block. Arguments as in `decompose_resid`.
        """
        rows = self.head_rows(
            layer, mlp_input=mlp_input, expand_neurons=expand_neurons, positions=positions
        )
        return self._finished(rows, layer, mlp_input, apply_ln, positions, False, return_labels)

    # ---- the same as rows by label

    @_as_in_the_run
    def layer_rows(self, layer: int | None = None, *, positions: Any = "all") -> Rows:
        """The rows of `decompose_resid` and its bias, by label, always with the image dimension."""
        self.require_unedited(*STREAM)
        parts = StreamRows(self, positions)
        outputs = parts.outputs(*self._counts(layer))
        return parts.embeddings() | outputs | {"bias": parts.bias()}

    @_as_in_the_run
    def head_rows(
        self,
        layer: int | None = None,
        *,
        mlp_input: bool = False,
        expand_neurons: bool = False,
        positions: Any = "all",
    ) -> Rows:
        """The rows of `get_full_resid_decomposition`, by label, always with the image dimension."""
        self.require_unedited(*STREAM, *(NEURONS if expand_neurons else ()))
        n_attentions, n_mlps = self._counts(layer, mlp_input)
        parts = StreamRows(self, positions)
        parts.require_heads()
        rows = parts.heads(n_attentions)
        rows |= parts.neurons(n_mlps) if expand_neurons else parts.outputs(0, n_mlps)
        rows |= parts.embeddings()
        rows["bias"] = parts.bias(n_attentions, n_mlps if expand_neurons else 0)
        return rows

    def stack_activation(
        self, activation_name: str, layer: int | None = None, sublayer_type: str | None = None
    ) -> Float[Tensor, "layers *batch"]:
        """One hook point of every block before `layer`, stacked: `stack_activation("z")`."""
        layers = range(self._end(layer))
        return torch.stack([self[get_act_name(activation_name, i, sublayer_type)] for i in layers])

    # ---- norms and directions

    @_as_in_the_run
    def apply_ln_to_stack(
        self,
        residual_stack: Stack,
        layer: int | None = None,
        *,
        mlp_input: bool = False,
        positions: Any = "all",
        recompute_ln: bool = False,
    ) -> Stack:
        """Applies the norm that reads the stream at `layer` to every row.

        By default its linear part (centering, gain) at the scale that it had in the run, so that
        rows which add up to the stream add up to the normalized stream less the norm's bias. With
        `recompute_ln` each row is a stream of its own: the whole norm, at the row's own scale.

        Args:
            residual_stack: Rows as the other methods return them.
            layer: The block whose norm is meant; None means the final norm.
            mlp_input: Whether the norm in front of the MLP is meant.
            positions: The tokens that the rows are about.
            recompute_ln: See above.
        """
        norm, name = self._reading_norm(layer, mlp_input)
        if norm is None:
            return residual_stack
        pooling = self.model.cfg.pooling
        is_behind = name == "ln_final" and not pooling.normalizes_tokens
        if is_behind and pooling.kind in ("map", "cls_mean"):
            raise ValueError(
                f"The final norm reads what pooling {pooling.kind!r} makes of the tokens; rows of "
                "the stream are no such vectors. Use `cache.logit_attrs` or "
                "`target.readout(cache)`."
            )
        if recompute_ln:
            return norm.fused(residual_stack)
        scale = self.at(f"{name}.hook_scale")
        chosen = self.tokens_at(positions)
        if not is_behind:
            scale = scale[:, chosen]
        elif scale.shape[1] > 1 and chosen != self.tokens_at("readout"):
            raise ValueError(
                "Pooling comes before the final norm here, with a scale per head; rows per token "
                "have none. Use `cache.logit_attrs` or `target.readout(cache)`."
            )
        return norm.linear(residual_stack, scale if self.has_batch_dim else scale[0])

    @_as_in_the_run
    def logit_attrs(
        self, residual_stack: Stack, target: "Target", *, positions: Any = "all"
    ) -> Float[Tensor, "components *batch tokens"]:
        """What each row says for a target through the final norm, pooling and head.

        Summed over tokens, and over rows that add up to the last stream, this is the target's
        value less its constant (`target.readout(cache).constant`). Tokens that the head doesn't
        read have share zero.

        Args:
            residual_stack: Rows without any norm applied.
            target: From `model.target(...)`.
            positions: The tokens that the rows are about.
        """
        weights = target.readout(self).weights[:, self.tokens_at(positions)]
        weights = weights if self.has_batch_dim else weights[0]
        return (residual_stack * weights).sum(-1)

    def _finished(
        self,
        rows: dict[str, Tensor],
        layer: int | None,
        mlp_input: bool,
        apply_ln: bool,
        positions: Any,
        incl_remainder: bool,
        return_labels: bool,
    ) -> Labeled:
        if incl_remainder:
            end = self._end(layer)
            whole = f"blocks.{end}.hook_resid_mid" if mlp_input else self._stream_into(end)[1]
            total = self.at(whole, positions)
            rows["remainder"] = total - sum(rows.values())
        if not rows:
            raise ValueError(
                "A stack must have a row; got layer 0 without embeddings. Raise `layer`, or pass "
                "`incl_embeds=True` or `incl_remainder=True`."
            )
        stack = torch.stack(list(rows.values()))
        if not self.has_batch_dim:
            stack = stack[:, 0]
        if apply_ln:
            stack = self.apply_ln_to_stack(stack, layer, mlp_input=mlp_input, positions=positions)
        return (stack, list(rows)) if return_labels else stack
