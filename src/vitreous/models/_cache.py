"""Residual-stream bookkeeping on the values of one run."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import HookError
from vitreous.hooks import ActivationCache, HookNames
from vitreous.models._layout import TokenLayout
from vitreous.models._names import get_act_name
from vitreous.models._saving import weight_hash

if TYPE_CHECKING:
    from vitreous.models._block import Block
    from vitreous.models._derivation import ViTDerivation
    from vitreous.models._target import Target
    from vitreous.models._vit import HookedViT

Stack = Float[Tensor, "components *batch tokens d_model"]
Labeled = Stack | tuple[Stack, list[str]]

# Points where a hook may put something into the stream that no component wrote.
_STREAM = ("hook_resid_", "hook_full_embed", "hook_ln_pre")


_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def _as_in_the_run(
    method: "Callable[Concatenate[ViTActivationCache, _Given], _Returned]",
) -> "Callable[Concatenate[ViTActivationCache, _Given], _Returned]":
    """Computes with gradient where the run's values have one, and in the run's precision."""

    @functools.wraps(method)
    def called(
        cache: "ViTActivationCache", *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Returned:
        given = (x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))
        with cache.as_in_the_run(in_graph=any(x.requires_grad for x in given)):
            return method(cache, *args, **kwargs)

    return called


class ViTActivationCache(ActivationCache):
    """The activations of one run of a `HookedViT`, with the methods that take its stream apart.

    The stream is a sum: embedding, positions, and what attention and MLP of each block add. The
    methods below list the terms. Names and labels are those of TransformerLens; `positions` takes
    what `TokenLayout.select` takes, and the token dimension always stays.
    """

    def __init__(
        self,
        values: dict[str, Tensor],
        keys: Sequence[str],
        names: HookNames,
        derivation: "ViTDerivation",
        has_batch_dim: bool = True,
        *,
        edited: frozenset[str] = frozenset(),
        model: "HookedViT",
    ) -> None:
        super().__init__(values, keys, names, derivation, has_batch_dim)
        self._run = derivation
        self.model = model
        self.edited = edited

    @property
    def layout(self) -> TokenLayout:
        """Where tokens are, at the size that was run."""
        return self._run.layout

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
        return {"weights": weights, "edited": sorted(self.edited), "grid": self.layout.grid[1:]}

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
            incl_mid: Whether the stream between attention and MLP is listed too.
            apply_ln: Whether to apply the whole final norm to each, at its own scale.
            positions: Tokens.
            return_labels: Whether to return labels such as `3_pre`, `3_mid`, `final_post` too.
        """
        end = self._end(layer)
        names = [
            (f"{i}_{part}", f"blocks.{i}.hook_resid_{part}")
            for i in range(end)
            for part in ("pre", "mid")
            if part == "pre" or (incl_mid and self.model.cfg.has_resid_mid)
        ]
        names.append(self._stream_into(end))
        rows = {label: self._at(name, positions) for label, name in names}
        stack = torch.stack(list(rows.values()))
        if apply_ln:
            stack = self.apply_ln_to_stack(stack, recompute_ln=True, positions=positions)
        return self._returned(stack, list(rows), return_labels)

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
        """
        if not incl_remainder:
            self.require_unedited(*_STREAM)
        rows = self._embed_rows(positions) if incl_embeds else {}
        rows |= self._layer_outputs(layer, mode, mlp_input, positions)
        rows |= {"bias": self._bias_row(positions)} if incl_bias else {}
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

        `incl_remainder` adds the rest of the stream: embedding, MLPs and biases. The other
        arguments are those of `decompose_resid`.
        """
        rows = self._rows_of_heads(self._end(layer), positions)
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
        results = self._neuron_results(
            layer % n_layers, neuron_slice, positions, project_output_onto
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
        rows = self._neuron_rows(range(self._end(layer)), neuron_slice, positions)
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

    def layer_rows(
        self, layer: int | None = None, *, positions: Any = "all"
    ) -> dict[str, Float[Tensor, "batch positions d_model"]]:
        """The rows of `decompose_resid` and its bias, by label, always with the image dimension."""
        self.require_unedited(*_STREAM)
        outputs = self._layer_outputs(layer, "all", False, positions)
        return self._embed_rows(positions) | outputs | {"bias": self._bias_row(positions)}

    def head_rows(
        self,
        layer: int | None = None,
        *,
        mlp_input: bool = False,
        expand_neurons: bool = False,
        positions: Any = "all",
    ) -> dict[str, Float[Tensor, "batch positions d_model"]]:
        """The rows of `get_full_resid_decomposition`, by label, always with the image dimension."""
        self.require_unedited(*_STREAM, "hook_attn_out")
        end = self._end(layer, mlp_input=mlp_input)
        n_attn = end + 1 if mlp_input else end
        rows = self._rows_of_heads(n_attn, positions)
        if not self._attn_only() and expand_neurons:
            self.require_unedited("hook_mlp_out")
            rows |= self._neuron_rows(range(end), None, positions)
        elif not self._attn_only():
            outs = {f"{i}_mlp_out": f"blocks.{i}.hook_mlp_out" for i in range(end)}
            rows |= {label: self._at(name, positions) for label, name in outs.items()}
        rows |= self._embed_rows(positions)
        rows["bias"] = self._bias_row(positions, n_attn, end if expand_neurons else 0)
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
        if recompute_ln:
            return norm.fused(residual_stack)
        scale = self._batched(self[f"{name}.hook_scale"])
        chosen = self.layout.select(positions)
        if name != "ln_final" or self.model.cfg.pooling.normalizes_tokens:
            scale = scale[:, chosen]
        elif scale.shape[1] > 1 and chosen != self.layout.select("readout"):
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
        weights = target.readout(self).weights[:, self.layout.select(positions)]
        weights = weights if self.has_batch_dim else weights[0]
        return (residual_stack * weights).sum(-1)

    # ---- rows

    def _embed_rows(self, positions: Any) -> dict[str, Tensor]:
        names = {"embed": "hook_embed"}
        if self.model.cfg.position is not None:
            names["pos_embed"] = "hook_pos_embed"
        rows = {label: self._at(name, positions) for label, name in names.items()}
        norm = self.model.ln_pre
        if norm is None:
            return rows
        self.require_unedited("ln_pre.hook_normalized")
        scale = self._at("ln_pre.hook_scale", positions)
        return {label: norm.linear(row, scale) for label, row in rows.items()}

    def _layer_outputs(
        self, layer: int | None, mode: str, mlp_input: bool, positions: Any
    ) -> dict[str, Tensor]:
        if mode not in ("all", "attn", "mlp"):
            raise ValueError(f"`mode` must be 'all', 'attn' or 'mlp'; got {mode!r}. Pass one.")
        end = self._end(layer, mlp_input=mlp_input)
        kinds = ["attn"] * (mode != "mlp") + ["mlp"] * (mode != "attn" and not self._attn_only())
        places = [(i, kind) for i in range(end) for kind in kinds]
        if mlp_input and mode != "mlp":
            places.append((end, "attn"))
        return {f"{i}_{k}_out": self._at(f"blocks.{i}.hook_{k}_out", positions) for i, k in places}

    def _head_results(
        self, layer: int, positions: Any
    ) -> Float[Tensor, "batch tokens heads d_model"]:
        name = f"blocks.{layer}.attn.hook_result"
        if name in self._values:
            return self._at(name, positions)
        return self._block(layer).attn.results(self._at(f"blocks.{layer}.attn.hook_z", positions))

    def _rows_of_heads(
        self, n_layers: int, positions: Any
    ) -> dict[str, Float[Tensor, "batch positions d_model"]]:
        return {
            f"L{layer}H{head}": results[:, :, head]
            for layer in range(n_layers)
            for results in [self._head_results(layer, positions)]
            for head in range(self.model.cfg.n_heads)
        }

    def _neuron_results(
        self, layer: int, neurons: Any, positions: Any, onto: Tensor | None = None
    ) -> Tensor:
        mlp = self._block(layer).mlp
        if mlp is None:
            raise ValueError(
                "`get_neuron_results` needs MLPs; got an attention-only model. "
                "Use `stack_head_results`."
            )
        post = self._at(f"blocks.{layer}.mlp.hook_post", positions)
        chosen = _neuron_indices(neurons, post.shape[-1])
        if mlp.out_norm is None:
            writes = mlp.W_out[chosen] if onto is None else mlp.W_out[chosen] @ onto
            post = post[..., chosen]
            return post * writes if writes.ndim == 1 else post[..., None] * writes
        written = post[..., chosen, None] * mlp.W_out[chosen]
        written = mlp.out_norm.linear(written, mlp.out_scale(post)[:, :, None])
        return written if onto is None else written @ onto

    def _neuron_rows(
        self, layers: range, neurons: Any, positions: Any
    ) -> dict[str, Float[Tensor, "batch tokens d_model"]]:
        rows = {}
        for layer in layers:
            results = self._neuron_results(layer, neurons, positions)
            chosen = _neuron_indices(neurons, self.model.cfg.d_mlp or 0)
            rows |= {f"L{layer}N{n}": results[:, :, i] for i, n in enumerate(chosen)}
        return rows

    def _bias_row(
        self, positions: Any, n_attn: int = 0, n_mlp: int = 0
    ) -> Float[Tensor, "batch positions d_model"]:
        """The bias of a norm in front, and the output biases of that many attentions and MLPs."""
        bias = self.model.placement.new_zeros(self.model.cfg.d_model)
        if self.model.ln_pre is not None and self.model.ln_pre.b is not None:
            bias = bias + self.model.ln_pre.b
        for i in range(n_attn):
            z = self._at(f"blocks.{i}.attn.hook_z", positions)
            bias = bias + self._block(i).attn.output_bias(z)
        for i in range(n_mlp):
            mlp = self._block(i).mlp
            if mlp is not None:
                bias = bias + mlp.output_bias(self._at(f"blocks.{i}.mlp.hook_post", positions))
        return bias.detach().expand(self._n_images(), len(self.layout.select(positions)), -1)

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
            total = self._at(whole, positions)
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

    def _returned(self, stack: Tensor, labels: list[str], return_labels: bool) -> Labeled:
        stack = stack if self.has_batch_dim else stack[:, 0]
        return (stack, labels) if return_labels else stack

    # ---- places

    def _end(self, layer: int | None, *, mlp_input: bool = False) -> int:
        n_layers = self.model.cfg.n_layers
        end = n_layers if layer is None or layer == -1 else layer
        if not 0 <= end <= n_layers:
            raise ValueError(f"`layer` must lie in 0..{n_layers}; got {layer}. Choose another.")
        if mlp_input and not self.model.cfg.has_resid_mid:
            lacks = "MLPs" if self._attn_only() else "MLPs that follow attention"
            raise ValueError(f"`mlp_input` needs {lacks}; got none. Leave it at False.")
        if mlp_input and end == n_layers:
            raise ValueError(
                f"`mlp_input` needs a block; got layer {end} of {n_layers}. Pass `layer=`."
            )
        return end

    def _stream_into(self, end: int) -> tuple[str, str]:
        """Label and name of the stream that enters block `end`, or leaves the last one."""
        if end == self.model.cfg.n_layers:
            return "final_post", f"blocks.{end - 1}.hook_resid_post"
        return f"{end}_pre", f"blocks.{end}.hook_resid_pre"

    def _reading_norm(self, layer: int | None, mlp_input: bool) -> tuple[Any, str]:
        end = self._end(layer, mlp_input=mlp_input)
        if end == self.model.cfg.n_layers:
            return self.model.ln_final, "ln_final"
        name = "ln2" if mlp_input else "ln1"
        return getattr(self._block(end), name), f"blocks.{end}.{name}"

    def _at(self, name: str, positions: Any) -> Tensor:
        """A value with its image dimension, at some tokens."""
        value = self._batched(self._read_once(name))
        if isinstance(positions, str) and positions == "all":
            return value
        return value[:, self.layout.select(positions)]

    def _batched(self, value: Tensor) -> Tensor:
        return value if self.has_batch_dim else value[None]

    def _block(self, layer: int) -> "Block":
        return self.model.blocks[layer]

    def _attn_only(self) -> bool:
        return self.model.cfg.attn_only

    def _n_images(self) -> int:
        return len(next(iter(self._values.values()))) if self.has_batch_dim else 1

    def require_unedited(self, *parts: str) -> None:
        """Raises when a hook of the run edited a point whose name holds one of `parts`."""
        edited = sorted(name for name in self.edited if any(part in name for part in parts))
        if edited:
            raise HookError(
                f"The rows must add up to the stream; a hook replaced `{edited[0]}` in this run, "
                "which no component wrote. Pass `incl_remainder=True`, or run without that hook."
            )


def _neuron_indices(neurons: Any, d_mlp: int) -> list[int]:
    every = torch.arange(d_mlp)
    if neurons is None:
        return every.tolist()
    chosen = every[neurons if not isinstance(neurons, Tensor) else neurons.cpu()]
    return chosen.reshape(-1).tolist()
