"""The MLPs of timm's transformers, in our terms."""

from typing import Any

from vitreous.models._part_configs import NormConfig
from vitreous.models.adapters._timm_source import Part, Piece, Tensors, timm_module


def read_mlp(block: Part, name: str) -> Piece:
    """An MLP, and its weights as `mlp.*`."""
    layers = timm_module("timm.layers")
    geglu = timm_module("timm.models.vitamin").GeGluMlp
    readers = {
        layers.Mlp: _plain,
        layers.GluMlp: _one_weight_for_both,
        layers.SwiGLU: _two_weights,
        geglu: _two_weights_behind_a_norm,
    }
    part = block.child(name, *readers)
    part.inert("drop1", "drop2")
    return readers[type(part.module)](part)


def _plain(part: Part) -> Piece:
    norm, inside = part.norm("norm", "mlp.norm")
    weights = part.linear("fc1", "mlp.fc_in") | part.linear("fc2", "mlp.fc_out")
    return _piece(part, weights | inside, norm, gate=False)


def _one_weight_for_both(part: Part) -> Piece:
    """The activation is that of the last half of the neurons (`gate_last`), or of the first."""
    norm, inside = part.norm("norm", "mlp.norm")
    weights = part.linear("fc2", "mlp.fc_out")
    for name, both in part.linear("fc1", "fc1").items():
        leaf = name.removeprefix("fc1.")
        linear, gate = both.chunk(2) if part.module.gate_last else reversed(both.chunk(2))
        weights |= {f"mlp.fc_in.{leaf}": gate, f"mlp.fc_linear.{leaf}": linear}
    return _piece(part, weights | inside, norm, gate=True)


def _two_weights(part: Part) -> Piece:
    norm, inside = part.norm("norm", "mlp.norm")
    weights = part.linear("fc1_g", "mlp.fc_in") | part.linear("fc1_x", "mlp.fc_linear")
    return _piece(part, weights | part.linear("fc2", "mlp.fc_out") | inside, norm, gate=True)


def _two_weights_behind_a_norm(part: Part) -> Piece:
    norm, before = part.norm("norm", "mlp.in_norm")
    weights = part.linear("w0", "mlp.fc_in") | part.linear("w1", "mlp.fc_linear")
    piece = _piece(part, weights | part.linear("w2", "mlp.fc_out") | before, None, gate=True)
    return piece._replace(fields=piece.fields | {"mlp_in_norm": norm})


def _piece(part: Part, weights: Tensors, norm: NormConfig | None, *, gate: bool) -> Piece:
    fields: dict[str, Any] = {
        "d_mlp": len(weights["mlp.fc_in.weight"]),
        "act_name": part.activation("act"),
        "mlp_bias": any(f"mlp.{n}.bias" in weights for n in ("fc_in", "fc_linear", "fc_out")),
        "mlp_gate": gate,
        "mlp_norm": norm,
    }
    return Piece(fields, weights)
