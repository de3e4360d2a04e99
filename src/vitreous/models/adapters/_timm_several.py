"""timm's block of several attentions side by side, and then several MLPs, as one of each.

Attentions that are added up are one attention of all their heads, and MLPs one MLP of all their
neurons, once the norm in front of each is no more than centering and dividing.
"""

import dataclasses

import torch
from torch import Tensor, nn

from vitreous.models._part_configs import NormConfig
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._timm_attention import Around, read_attention
from vitreous.models.adapters._timm_mlp import read_mlp
from vitreous.models.adapters._timm_source import Part, Piece, Tensors, folded


def read_several(part: Part, around: Around) -> Piece:
    attns = [
        _folded(each, read_attention(each, "attn", around)) for each in _branches(part, "attns")
    ]
    mlps = [_folded(each, read_mlp(each, "mlp")) for each in _branches(part, "ffns")]
    for pieces in (attns, mlps):
        if any(piece.fields != pieces[0].fields for piece in pieces):
            raise unsupported(f"Parallel parts must be alike; got two kinds in `{part.where}`")
    if attns[0].fields["norm"] != mlps[0].fields["norm"]:
        raise unsupported(f"All norms of a block must be alike; got two kinds in `{part.where}`")
    fields = attns[0].fields | mlps[0].fields
    many = {"n_heads": fields["n_heads"] * len(attns), "d_mlp": fields["d_mlp"] * len(mlps)}
    tensors = _merged([piece.tensors for piece in attns]) | _merged([p.tensors for p in mlps])
    return Piece(fields | many | {"layer_scale": False}, tensors)


def _branches(part: Part, name: str) -> list[Part]:
    parts = part.child(name, nn.ModuleList)
    branches = [parts.child(each, nn.Sequential) for each, _ in parts.module.named_children()]
    for branch in branches:
        first, *rest = (each for each, _ in branch.module.named_children())
        if first != "norm" or rest[1:] != ["ls", "drop_path"]:
            raise unsupported(
                f"`{branch.where}` must be a norm, one part, LayerScale and drop path; got "
                f"{', '.join((first, *rest))}"
            )
        branch.inert("drop_path")
    return branches


def _folded(branch: Part, piece: Piece) -> Piece:
    """Gain and bias of the norm in front, and LayerScale behind, folded into the weights."""
    fields, tensors = dict(piece.fields), dict(piece.tensors)
    inside = (fields.get("attention"), fields.get("mlp_norm"), fields.get("mlp_in_norm"))
    attention = inside[0]
    if any(inside[1:]) or (attention and (attention.qk_norm or attention.z_norm)):
        raise unsupported(
            f"Several attentions and MLPs must have no norms inside; got one in `{branch.where}`"
        )
    norm, weights = branch.norm("norm", "ln")
    for name in ("attn.qkv", "mlp.fc_in", "mlp.fc_linear"):
        if norm is not None and f"{name}.weight" in tensors:
            tensors |= _behind_norm(name, tensors, weights)
    gain = branch.gain("ls")
    for name in ("attn.out", "mlp.fc_out"):
        if gain is not None and f"{name}.weight" in tensors:
            tensors[f"{name}.weight"] = folded(tensors[f"{name}.weight"], gain[:, None])
            if f"{name}.bias" in tensors:
                tensors[f"{name}.bias"] = folded(tensors[f"{name}.bias"], gain)
    if attention:
        biased = "attn.qkv.bias" in tensors
        fields["attention"] = dataclasses.replace(attention, qkv_bias=biased)
    else:
        fields["mlp_bias"] |= "mlp.fc_in.bias" in tensors
    return Piece(fields | {"norm": _plain(norm)}, tensors)


def _behind_norm(name: str, tensors: Tensors, norm: Tensors) -> Tensors:
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    changed = {f"{name}.weight": folded(weight, norm["ln.w"])} if "ln.w" in norm else {}
    if "ln.b" in norm:
        moved = weight.double() @ norm["ln.b"].double()
        moved = moved if bias is None else moved + bias.double()
        changed[f"{name}.bias"] = moved.to(weight.dtype)
    return changed


def _plain(norm: NormConfig | None) -> NormConfig | None:
    return None if norm is None else dataclasses.replace(norm, affine=False)


def _merged(pieces: list[Tensors]) -> Tensors:
    return {name: _joined(name, [tensors[name] for tensors in pieces]) for name in pieces[0]}


def _joined(name: str, tensors: list[Tensor]) -> Tensor:
    if name.startswith("attn.qkv."):  # all queries, then all keys, then all values
        return torch.cat([t.unflatten(0, (3, -1)) for t in tensors], 1).flatten(0, 1)
    if name in ("attn.out.weight", "mlp.fc_out.weight"):
        return torch.cat(tensors, 1)
    if name in ("attn.out.bias", "mlp.fc_out.bias"):
        return torch.stack(tensors).double().sum(0).to(tensors[0].dtype)
    return torch.cat(tensors)
