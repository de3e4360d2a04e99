"""Lenses in the folders of the package `tuned-lens`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import WeightsError
from vitreous._whole import unwritable, written_whole
from vitreous.models import HookedViT

CONFIG, PARAMS = "config.json", "params.pt"


def write_params(
    folder: Path,
    model: HookedViT,
    biases: Float[Tensor, "layers d_model"],
    weights: Float[Tensor, "layers d_model d_model"] | None,
) -> None:
    """Writes `N.weight` and `N.bias`, which the stream that enters block N meets.

    Raises:
        OSError: The folder can't be written.
    """
    if weights is None:
        weights = biases.new_zeros(*biases.shape, biases.shape[-1])
    params: dict[str, Tensor] = {}
    for layer, (weight, bias) in enumerate(zip(weights.cpu(), biases.cpu(), strict=True)):
        params |= {f"{layer}.weight": weight.clone(), f"{layer}.bias": bias.clone()}
    config = {
        "base_model_name_or_path": model.card.get("name") or "",
        "d_model": model.cfg.d_model,
        "num_hidden_layers": model.cfg.n_layers,
        "bias": True,
        "base_model_revision": None,
        "unembed_hash": _unembed_hash(model),
        "lens_type": "linear_tuned_lens",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    with written_whole(folder / PARAMS) as beside:
        torch.save(params, beside)
    with written_whole(folder / CONFIG) as beside:
        beside.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read_params(
    folder: Path, model: HookedViT
) -> tuple[Float[Tensor, "layers d_model"], Float[Tensor, "layers d_model d_model"]]:
    """Biases and weights, from the embedding to the last layer but one.

    Raises:
        WeightsError: The folder holds no whole lens, or one for another model.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        params = torch.load(folder / PARAMS, map_location="cpu", weights_only=True)
        _require_same(config, model, folder)
        layers = range(model.cfg.n_layers)
        weights = torch.stack([params.pop(f"{layer}.weight") for layer in layers])
        biases = [
            params.pop(f"{layer}.bias", weights.new_zeros(len(weights[0]))) for layer in layers
        ]
        if params or weights.shape[1:] != (model.cfg.d_model,) * 2:
            raise ValueError(f"{PARAMS} has other tensors")
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"`{folder}` must hold a lens of `tuned-lens`; it can't be read "
            f"({str(error).splitlines()[0]}). Save the lens again, or name another folder."
        ) from error
    dtype = torch.promote_types(model.placement.dtype, torch.float32)
    return torch.stack(biases).to(model.placement.device, dtype), weights.to(
        model.placement.device, dtype
    )


def _require_same(config: dict[str, Any], model: HookedViT, folder: Path) -> None:
    here = {
        "d_model": model.cfg.d_model,
        "num_hidden_layers": model.cfg.n_layers,
        "unembed_hash": _unembed_hash(model),
    }
    for name, value in here.items():
        found = config.get(name)
        if found != value and not (name == "unembed_hash" and found is None):
            raise WeightsError(
                f"`{folder}` must hold a lens for this model, with {name} {value}; got {found}. "
                "Load the model that it was fitted for."
            )


def _unembed_hash(model: HookedViT) -> str:
    """As the package computes it: of the printed head, `[labels, d_model]`, to one digit."""
    printed = np.array_str(model.W_U.detach().float().cpu().numpy().T, precision=1)
    return hashlib.sha256(printed.encode()).hexdigest()
