"""The blocks of timm's transformers: what they are made of, and their weights by our names."""

from collections.abc import Callable

from torch import nn

from vitreous.models._part_configs import AttentionConfig
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._timm_attention import (
    Around,
    check_scale,
    qk_norms,
    read_attention,
)
from vitreous.models.adapters._timm_mlp import read_mlp
from vitreous.models.adapters._timm_several import read_several
from vitreous.models.adapters._timm_source import Part, Piece, Tensors, timm_module


def read_blocks(model: Part, around: Around) -> Piece:
    """All blocks, which must be alike, and their weights as `blocks.LAYER.*`."""
    readers = _readers()
    sequence = model.child("blocks", nn.Sequential, nn.ModuleList)
    parts = [sequence.child(name, *readers) for name, _ in sequence.module.named_children()]
    pieces = [readers[type(part.module)](part, around) for part in parts]
    fields = pieces[0].fields
    for part, piece in zip(parts, pieces, strict=True):
        for name, value in piece.fields.items():
            if name != "layer_scale" and fields.get(name) != value:
                raise unsupported(
                    f"All blocks must be alike; got `{name}={value}` in `{part.where}` and "
                    f"{fields.get(name)} in `{parts[0].where}`"
                )
    scaled = any(piece.fields["layer_scale"] for piece in pieces)
    tensors = {
        f"blocks.{layer}.{name}": tensor
        for layer, piece in enumerate(pieces)
        for name, tensor in piece.tensors.items()
    }
    return Piece(fields | {"layer_scale": scaled, "n_layers": len(parts)}, tensors)


def _readers() -> dict[type, Callable[[Part, Around], Piece]]:
    vit, eva = timm_module("timm.models.vision_transformer"), timm_module("timm.models.eva")
    return {
        vit.Block: _norms_in_front,
        eva.EvaBlock: _norms_in_front,
        timm_module("timm.models.beit").Block: _norms_in_front,
        vit.ResPostBlock: _norms_behind,
        eva.EvaBlockPostNorm: _norms_behind,
        vit.ParallelScalingBlock: _side_by_side,
        vit.ParallelThingsBlock: read_several,
    }


def _norms_in_front(part: Part, around: Around) -> Piece:
    part.inert("drop_path1", "drop_path2")
    norm, ln1 = part.norm("norm1", "ln1")
    other, ln2 = part.norm("norm2", "ln2")
    _check_alike(part, norm == other)
    attn, mlp = read_attention(part, "attn", around), read_mlp(part, "mlp")
    gains = {}
    for ours, layer, parameter in (("attn", "ls1", "gamma_1"), ("mlp", "ls2", "gamma_2")):
        gain = part.gain(layer) if part.has(layer) else part.tensor(parameter)
        gains |= {} if gain is None else {f"{ours}.gain": gain}
    fields = {"norm": norm, "layer_scale": bool(gains)} | attn.fields | mlp.fields
    return Piece(fields, ln1 | ln2 | attn.tensors | mlp.tensors | gains)


def _norms_behind(part: Part, around: Around) -> Piece:
    part.inert("drop_path1", "drop_path2")
    norm, behind_attn = part.norm("norm1", "attn.out_norm")
    other, behind_mlp = part.norm("norm2", "mlp.out_norm")
    _check_alike(part, norm == other)
    attn, mlp = read_attention(part, "attn", around), read_mlp(part, "mlp")
    fields = {"norm": None, "out_norm": norm, "layer_scale": False} | attn.fields | mlp.fields
    return Piece(fields, behind_attn | behind_mlp | attn.tensors | mlp.tensors)


def _check_alike(part: Part, alike: bool) -> None:
    if not alike:
        raise unsupported(f"Both norms of a block must be alike; got two kinds in `{part.where}`")


def _side_by_side(part: Part, around: Around) -> Piece:
    """Attention and MLP behind one norm and one input weight; the outputs are added."""
    part.inert("attn_drop", "mlp_drop", "drop_path")
    source = part.module
    check_scale(part, source.head_dim)
    norm, ln1 = part.norm("in_norm", "ln1")
    qk_norm, norms = qk_norms(part)
    weights = _inputs(part) | _outputs(part)
    gain = part.gain("ls")
    gains = {} if gain is None else {"attn.gain": gain, "mlp.gain": gain}
    fields = {
        "norm": norm,
        "parallel": True,
        "layer_scale": bool(gains),
        "n_heads": source.num_heads,
        "d_head": source.head_dim,
        "attention": AttentionConfig(
            "attn.qkv.bias" in weights, "attn.out.bias" in weights, qk_norm
        ),
        "d_mlp": len(weights["mlp.fc_in.weight"]),
        "act_name": part.activation("mlp_act"),
        "mlp_bias": "mlp.fc_in.bias" in weights or "mlp.fc_out.bias" in weights,
    }
    return Piece(fields, ln1 | weights | norms | gains)


def _inputs(part: Part) -> Tensors:
    n_neurons, *widths = part.module.in_split
    weights: Tensors = {}
    for name, both in part.linear("in_proj", "in").items():
        mlp, qkv = both.split([n_neurons, sum(widths)])
        leaf = name.removeprefix("in.")
        weights |= {f"mlp.fc_in.{leaf}": mlp, f"attn.qkv.{leaf}": qkv}
    bias = part.tensor("mlp_bias")
    return weights if bias is None else weights | {"mlp.fc_in.bias": bias}


def _outputs(part: Part) -> Tensors:
    if not part.has("out_proj"):
        mlp = part.linear("mlp_out_proj", "mlp.fc_out")
        return part.linear("attn_out_proj", "attn.out") | mlp
    both = part.linear("out_proj", "mlp.fc_out")  # the bias is the MLP's: it is written once
    n_neurons, width, *_ = part.module.in_split
    attn, mlp = both["mlp.fc_out.weight"].split([width, n_neurons], 1)
    return both | {"attn.out.weight": attn, "mlp.fc_out.weight": mlp}
