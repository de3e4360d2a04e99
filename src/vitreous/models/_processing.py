"""New models that compute the same logits with simpler weights.

Nothing here is done by default: a loaded model is its source. Each function returns a new model
and raises where logits could not stay equal. Products are formed in float64. Means are dropped,
since the activations that they were taken of have changed.
"""

import copy
import dataclasses
from typing import TypeVar

import torch
from torch import Tensor, nn

from vitreous.models._config import TransformerConfig
from vitreous.models._grid import has_fixed_tokens
from vitreous.models._norms import Norm
from vitreous.models._part_configs import NormConfig, PoolingConfig, ResampleConfig
from vitreous.models._saving import weight_hash
from vitreous.models._transformer import GlassTransformer
from vitreous.models._vit import HookedViT

Glass = TypeVar("Glass", bound=GlassTransformer)


@torch.no_grad()
def fold_layer_norm(model: Glass) -> Glass:
    """Folds gain and bias of every norm that reads the stream into the weights behind it.

    What is left of a norm centers (if it did) and divides. A norm in front of the first block,
    and norms of queries and keys, stay as they are.

    Raises:
        ValueError: A final norm without a head: the features that come out are that norm's own.
    """
    final, first = model.cfg.pooling.norm, model.cfg.pooling.norm_first
    into_map = model.pooling.map is not None and first
    if final is not None and final.affine and model.cfg.n_classes is None and not into_map:
        raise ValueError(
            "`fold_layer_norm` needs a head to fold the final norm into; got a model that returns "
            "features. Fold nothing, or give it a head."
        )
    if model.cfg.mlp_in_norm is not None:
        raise ValueError(
            "`fold_layer_norm` needs linear maps behind the norms; got a second norm in front of "
            "the MLP. Leave the weights as they are."
        )
    cfg = model.cfg.replace(
        norm=_plain(model.cfg.norm),
        pooling=_folded_pooling(model.cfg.pooling),
        attention=dataclasses.replace(model.cfg.attention, qkv_bias=True),
        mlp_bias=True,
        head_bias=True,
    )
    folded = _like(model, cfg)
    for new, old in zip(folded.blocks, model.blocks, strict=True):
        for names in old.attentions:
            attn, read = new.attention(names), old.attention(names)
            _fold_into(attn.qkv, read.qkv, old.norm_of(names))
        if new.mlp is not None and old.mlp is not None:
            norm = old.ln1 if old.parallel else old.ln2
            _fold_into(new.mlp.fc_in, old.mlp.fc_in, norm)
            if new.mlp.fc_linear is not None and old.mlp.fc_linear is not None:
                _fold_into(new.mlp.fc_linear, old.mlp.fc_linear, norm)
            new.mlp.fc_out.bias.copy_(_bias(old.mlp.fc_out))
    if folded.pooling.map is not None and model.pooling.map is not None and first:
        _fold_into(folded.pooling.map.kv, model.pooling.map.kv, model.ln_final)
    else:
        for name in ("linear", "distillation"):
            if getattr(model.head, name) is not None:
                _fold_into(getattr(folded.head, name), getattr(model.head, name), model.ln_final)
    return _noted(folded, "fold_layer_norm")


@torch.no_grad()
def center_writing_weights(model: Glass) -> Glass:
    """Takes the mean over `d_model` off everything that is written to the stream.

    No reader can tell, since LayerNorm takes that mean off itself. Embedding and positions are
    centered too unless a norm stands between them and the first block.

    Raises:
        ValueError: A reader that doesn't center (RMSNorm, no norm), no final norm, or a norm
            behind an output, whose mean isn't the weights'.
    """
    if model.cfg.out_norm is not None or not model.embedding.writes_its_weights:
        raise ValueError(
            "`center_writing_weights` needs linear maps that write to the stream; got a norm or a "
            "stem behind the weights. Leave the weights as they are."
        )
    if model.cfg.pooling.kind in ("map", "cls_mean") and not model.cfg.pooling.normalizes_tokens:
        raise ValueError(
            "`center_writing_weights` needs a LayerNorm in front of every reader; got pooling "
            f"{model.cfg.pooling.kind!r} in front of the last norm. Leave the weights as they are."
        )
    for norm, where in ((model.cfg.norm, "the blocks"), (model.cfg.pooling.norm, "the readout")):
        if norm is None or norm.kind != "layer":
            raise ValueError(
                "`center_writing_weights` needs a LayerNorm in front of every reader; got "
                f"{'none' if norm is None else 'an RMSNorm'} in {where}. "
                "Leave the weights as they are."
            )
    centered = fold_layer_scale(model) if model.cfg.layer_scale else _like(model, model.cfg)
    for block in centered.blocks:
        outputs = [block.attention(names).out for names in block.attentions]
        for layer in (*outputs, None if block.mlp is None else block.mlp.fc_out):
            if layer is not None:
                _center(layer.weight, 0)
                _center(layer.bias, 0)
    if centered.cfg.ln_pre is None:
        for parameter, dim in centered.embedding.written():
            _center(parameter, dim)
    return _noted(centered, "center_writing_weights")


@torch.no_grad()
def fold_value_biases(model: Glass) -> Glass:
    """Moves the values' biases into the output bias: a pattern's rows sum to one.

    Those of tokens that take no part in an attention over time are zero, as is their output bias.
    Afterwards `b_V` is zero, and a head's `z` is what it moved, without a constant.

    Raises:
        ValueError: A norm between values and output weight.
    """
    if model.cfg.attention.z_norm is not None:
        raise ValueError(
            "`fold_value_biases` needs values that go straight to the output weight; got a norm "
            "between them. Leave the weights as they are."
        )
    cfg = model.cfg.replace(attention=dataclasses.replace(model.cfg.attention, out_bias=True))
    folded = _like(model, cfg)
    for new, old in zip(folded.blocks, model.blocks, strict=True):
        for names in old.attentions:
            attn, read = new.attention(names), old.attention(names)
            b_V = read.bias("v").reshape(-1).double()
            moved = read.out.weight.double() @ b_V
            attn.out.bias.copy_(_bias(read.out).double() + moved)
            if attn.qkv.bias is not None:
                attn.bias("v").zero_()
    return _noted(folded, "fold_value_biases")


@torch.no_grad()
def fold_layer_scale(model: Glass) -> Glass:
    """Folds LayerScale's gains into the output weights and biases of attention and MLPs.

    Raises:
        ValueError: Weights below float32, where the products would round visibly.
    """
    if model.placement.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            "`fold_layer_scale` needs float32 or better; got "
            f"{model.placement.dtype}. Convert the model first: `model.float()`."
        )
    folded = _like(model, model.cfg.replace(layer_scale=False))
    for new, old in zip(folded.blocks, model.blocks, strict=True):
        pairs: list[tuple[nn.Linear, nn.Linear, Tensor | None]] = [
            (new.attention(names).out, old.attention(names).out, old.attention(names).gain)
            for names in old.attentions
        ]
        if new.mlp is not None and old.mlp is not None:
            pairs.append((new.mlp.fc_out, old.mlp.fc_out, old.mlp.gain))
        for target, source, gain in pairs:
            if gain is not None:
                target.weight.copy_(source.weight.double() * gain.double()[:, None])
                if target.bias is not None:
                    target.bias.copy_(source.bias.double() * gain.double())
    return _noted(folded, "fold_layer_scale")


@torch.no_grad()
def resample_positions(model: HookedViT, how: ResampleConfig | None = None) -> HookedViT:
    """Lets images of any size in: learned positions are resampled in every pass on another size.

    At the model's own size nothing changes. Converted models know how their source resamples
    (`model.cfg.position.resample`; what `interpolate_pos_encoding` does in transformers).

    Args:
        model: With learned positions, and nothing else that is held for each patch.
        how: How it is done; None means as the source does it.

    Raises:
        ValueError: No positions to resample, no `how` where no source says so, or blocks or a stem
            that take one size only.
    """
    position = model.cfg.position
    if (
        position is None
        or position.kind != "learned"
        or model.cfg.stem
        or has_fixed_tokens(model.cfg)
    ):
        raise ValueError(
            "`resample_positions` needs learned positions, and neither a stem nor rotary or "
            "relative positions in the blocks; got another model. Load it with `image_size=`."
        )
    how = how or position.resample
    if how is None:
        raise ValueError(
            "`resample_positions` must know how; got a model whose source doesn't say so. Pass "
            "`how=vt.models.ResampleConfig(...)`."
        )
    always = dataclasses.replace(position, resample=dataclasses.replace(how, always=True))
    return _noted(_like(model, model.cfg.replace(position=always)), "resample_positions")


def _like(model: Glass, cfg: TransformerConfig) -> Glass:
    """A model of another configuration with the tensors that both have."""
    new = model.like(cfg)
    new.to(model.placement).train(model.training)
    old_state, state = model.state_dict(), new.state_dict()
    for name, tensor in state.items():
        # What the old model lacks is a bias that it did without.
        tensor.copy_(old_state[name]) if name in old_state else tensor.zero_()
    new.card = copy.deepcopy(model.card)
    return new


def _folded_pooling(pooling: PoolingConfig) -> PoolingConfig:
    reads = pooling.map if pooling.norm_first else None
    kv = pooling.map if reads is None else dataclasses.replace(reads, kv_bias=True)
    return dataclasses.replace(pooling, norm=_plain(pooling.norm), map=kv)


def _noted(model: Glass, step: str) -> Glass:
    model.card["processing"] = [*model.card.get("processing", []), step]
    model.card["weight_hash"] = weight_hash(model)
    return model


def _plain(norm: NormConfig | None) -> NormConfig | None:
    return None if norm is None else dataclasses.replace(norm, affine=False)


def _fold_into(new: nn.Linear, old: nn.Linear, norm: Norm | None) -> None:
    weight, bias = old.weight.double(), _bias(old).double()
    # A head may read several normalized vectors side by side.
    times = 1 if norm is None else old.in_features // norm.width
    if norm is not None and norm.b is not None:
        bias = bias + weight @ norm.b.double().repeat(times)
    if norm is not None and norm.w is not None:
        weight = weight * norm.w.double().repeat(times)
    new.weight.copy_(weight)
    new.bias.copy_(bias)


def _bias(layer: nn.Linear) -> Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias


def _center(parameter: Tensor | None, dim: int) -> None:
    if parameter is not None:
        parameter.sub_(parameter.double().mean(dim, keepdim=True).to(parameter))
