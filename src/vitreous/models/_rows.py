"""The terms of the residual stream, as rows by label."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.models._run import TransformerRun
from vitreous.models._sublayers import AttentionNames, attentions_of

if TYPE_CHECKING:
    from vitreous.models._attention import Attention
    from vitreous.models._mlp import MLP

# Points where a hook may put something into the stream that no component wrote, or no head, or
# no neuron.
STREAM = ("hook_resid_", "hook_full_embed", "hook_ln_pre")
_HEADS = (
    "hook_attn_out", "hook_attn_time_out",
    "attn.z_norm.hook_normalized", "attn.out_norm.hook_normalized",
)  # fmt: skip
NEURONS = ("hook_mlp_out", "mlp.out_norm.hook_normalized")

Rows = dict[str, Float[Tensor, "batch positions d_model"]]


class StreamRows:
    """What the parts of a model wrote at some tokens of one run."""

    def __init__(self, run: TransformerRun, positions: Any) -> None:
        self.run, self.positions = run, positions
        self.model = run.model
        self.attentions = attentions_of(run.model.cfg)

    def embeddings(self) -> Rows:
        """Embedding and positions, through the linear part of a norm in front of the blocks."""
        names = {"embed": "hook_embed"}
        if self.model.cfg.position is not None:
            names["pos_embed"] = "hook_pos_embed"
        rows = {label: self._at(name) for label, name in names.items()}
        norm = self.model.ln_pre
        if norm is None:
            return rows
        self.run.require_unedited("ln_pre.hook_normalized")
        scale = self._at("ln_pre.hook_scale")
        return {label: norm.linear(row, scale) for label, row in rows.items()}

    def outputs(self, n_attentions: int, n_mlps: int) -> Rows:
        """What that many attentions and MLPs added, block by block."""
        attentions = [(names.attn, n_attentions) for names in self.attentions]
        names = [
            f"{layer}_{kind}_out"
            for layer in range(max(n_attentions, n_mlps))
            for kind, count in (*attentions, ("mlp", n_mlps))
            if layer < count
        ]
        places = {name: name.split("_", 1) for name in names}
        return {name: self._at(f"blocks.{i}.hook_{out}") for name, (i, out) in places.items()}

    def heads(self, n_layers: int) -> Rows:
        return {
            f"L{layer}{names.letter}{head}": results[:, :, head]
            for layer in range(n_layers)
            for names in self.attentions
            for results in [self.head_results(layer, names)]
            for head in range(self.model.cfg.n_heads)
        }

    def require_stream(self) -> None:
        """Raises when a hook put something into the stream that no part wrote."""
        self.run.require_unedited(*STREAM)

    def require_neurons(self) -> None:
        """Raises when a hook replaced what neurons and a bias add up to."""
        self.run.require_unedited(*NEURONS)

    def require_heads(self) -> None:
        """Raises when a hook replaced what heads and a bias add up to."""
        self.run.require_unedited(*_HEADS)

    def head_results(
        self, layer: int, names: AttentionNames
    ) -> Float[Tensor, "batch positions heads d_model"]:
        """What each head of an attention wrote, as a hook left it where one replaced that."""
        name = f"blocks.{layer}.{names.attn}.hook_result"
        if name in self.run.stored_names:
            return self._at(name)
        inputs, scales = self.head_inputs(layer, names), self._scales(layer, names)
        return self.attention(layer, names).results(inputs, scales)

    def head_inputs(
        self, layer: int, names: AttentionNames
    ) -> Float[Tensor, "batch positions heads d_head"]:
        return self._at(f"blocks.{layer}.{names.attn}.hook_z")

    def head_directions(
        self,
        layer: int,
        names: AttentionNames,
        directions: Float[Tensor, "batch positions d_model"],
    ) -> Float[Tensor, "batch positions heads d_head"]:
        """What directions in the stream read of each head's `z`, with norms held."""
        attn = self.attention(layer, names)
        return attn.result_directions(directions, self._scales(layer, names))

    def attention_bias(self, layer: int, names: AttentionNames) -> Float[Tensor, "*#batch d_model"]:
        """What an attention added that no head wrote."""
        attn = self.attention(layer, names)
        bias = attn.output_bias(self._scales(layer, names))
        if not attn.n_idle:
            return bias
        tokens = torch.tensor(self.run.tokens_at(self.positions), device=bias.device)
        return bias * (tokens >= attn.n_idle)[:, None]

    def attention(self, layer: int, names: AttentionNames) -> "Attention":
        return self.model.blocks[layer].attention(names)

    def neurons(self, n_layers: int, chosen: Any = None) -> Rows:
        indices = neuron_indices(chosen, self.model.cfg.d_mlp or 0)
        return {
            f"L{layer}N{neuron}": results[:, :, place]
            for layer in range(n_layers)
            for results in [self.neuron_results(layer, chosen)]
            for place, neuron in enumerate(indices)
        }

    def neuron_results(self, layer: int, chosen: Any = None, onto: Tensor | None = None) -> Tensor:
        """What neurons of a block wrote, or what of it lies along `onto`."""
        mlp = self._mlp(layer)
        post = self._at(f"blocks.{layer}.mlp.hook_post")
        indices = neuron_indices(chosen, post.shape[-1])
        post, writes = post[..., indices], mlp.W_out[indices]
        if mlp.out_norm is None:
            writes = writes if onto is None else writes @ onto
            return post * writes if writes.ndim == 1 else post[..., None] * writes
        scale = self._at(f"blocks.{layer}.mlp.out_norm.hook_scale")[:, :, None]
        written = mlp.out_norm.linear(post[..., None] * writes, scale)
        return written if onto is None else written @ onto

    def neuron_directions(
        self, layer: int, directions: Float[Tensor, "batch positions d_model"]
    ) -> Float[Tensor, "batch positions d_mlp"]:
        """What directions in the stream read of one unit of each neuron, with norms held."""
        return self._mlp(layer).neuron_directions(directions, self._mlp_scale(layer))

    def mlp_bias(self, layer: int) -> Float[Tensor, "*#batch d_model"]:
        """What an MLP added that no neuron wrote."""
        return self._mlp(layer).output_bias(self._mlp_scale(layer))

    def bias(
        self, n_attentions: int = 0, n_mlps: int = 0
    ) -> Float[Tensor, "batch positions d_model"]:
        """The bias of a norm in front, and the output biases of that many attentions and MLPs."""
        bias = self.model.placement.new_zeros(self.model.cfg.d_model)
        if self.model.ln_pre is not None and self.model.ln_pre.b is not None:
            bias = bias + self.model.ln_pre.b
        for layer in range(n_attentions):
            for names in self.attentions:
                bias = bias + self.attention_bias(layer, names)
        for layer in range(n_mlps):
            bias = bias + self.mlp_bias(layer)
        n_tokens = len(self.run.tokens_at(self.positions))
        return bias.expand(self.run.n_images, n_tokens, -1)

    def _scales(
        self, layer: int, names: AttentionNames
    ) -> dict[str, Float[Tensor, "batch positions 1"]]:
        norms, at = self.attention(layer, names).norms_of_output, f"blocks.{layer}.{names.attn}"
        return {norm: self._at(f"{at}.{norm}.hook_scale") for norm in norms}

    def _mlp_scale(self, layer: int) -> Float[Tensor, "batch positions 1"] | None:
        if self._mlp(layer).out_norm is None:
            return None
        return self._at(f"blocks.{layer}.mlp.out_norm.hook_scale")

    def _mlp(self, layer: int) -> "MLP":
        mlp = self.model.blocks[layer].mlp
        if mlp is None:
            raise ValueError(
                "`get_neuron_results` needs MLPs; got an attention-only model. "
                "Use `stack_head_results`."
            )
        return mlp

    def _at(self, name: str) -> Tensor:
        return self.run.at(name, self.positions)


def neuron_indices(neurons: Any, d_mlp: int) -> list[int]:
    every = torch.arange(d_mlp)
    if neurons is None:
        return every.tolist()
    chosen = every[neurons if not isinstance(neurons, Tensor) else neurons.cpu()]
    return chosen.reshape(-1).tolist()
