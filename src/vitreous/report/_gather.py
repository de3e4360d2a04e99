"""Runs the model once and takes from that run all numbers that a report shows."""

from collections import Counter

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vitreous._errors import HookError
from vitreous.data import Images
from vitreous.decomposition import direct_logit_shares, shares_grid
from vitreous.hooks import Means
from vitreous.lenses import logit_lens
from vitreous.models import HookedViT, Target, TransformerCache
from vitreous.patching import ablate_heads
from vitreous.report._evidence import Evidence, Question


def gather(
    model: HookedViT,
    x: Float[Tensor, "1 channels rows columns"],
    target: str | int | None,
    minus: str | int | None,
    reference: Images | Means | None,
) -> Evidence:
    """Collects the evidence of one image; only the ablation sweep runs the model again."""
    with torch.no_grad():
        logits, cache = model.run_with_cache(x)
        _must_show_attention(cache)
        names, emoji = _names(model)
        question, aim = _ask(model, logits[0], names, target, minus)
        by_layer = direct_logit_shares(model, x, aim, by="layer", cache=cache)
        by_head = direct_logit_shares(model, x, aim, by="head", cache=cache)
        lens = logit_lens(model, x, cache=cache)
        sweep = ablate_heads(model, x, aim, reference=reference, cache=cache)
        layers = range(model.cfg.n_layers)
        scores = torch.cat([cache["attn_scores", layer] for layer in layers])
    value = float(aim(logits)[0])
    return Evidence(
        pixels=_shown(model, x, cache),
        layout=cache.layout,
        labels=names,
        emoji=emoji,
        logits=logits[0].detach().cpu(),
        question=question,
        value=value,
        lens=lens["logit"].isel(image=0),
        layer_shares=by_layer.isel(image=0),
        head_shares=shares_grid(by_head, "head").isel(image=0).to_numpy(),
        residual=float(by_layer.isel(image=0).sum()) - value,
        scores=scores.cpu().numpy(),
        effects=sweep["effect"].isel(image=0).transpose("layer", "head").to_numpy(),
        reference=sweep.attrs["reference"],
    )


def _must_show_attention(cache: TransformerCache) -> None:
    """The page ships scores and shows their softmax as the pattern."""
    edited = sorted(name for name in cache.edited if name.endswith("hook_pattern"))
    if edited:
        raise HookError(
            f"A report needs patterns that are the softmax of their scores; a hook replaced "
            f"`{edited[0]}`. Edit the scores instead, or explain the model without that hook."
        )


def _ask(
    model: HookedViT,
    logits: Float[Tensor, " labels"],
    names: tuple[str, ...],
    target: str | int | None,
    minus: str | int | None,
) -> tuple[Question, Target]:
    ranking = logits.argsort(descending=True, stable=True).tolist()
    label = ranking[0] if target is None else _index(model, target)
    rival = _rival(model, ranking, label, minus)
    text = names[label] if rival is None else f"{names[label]} − {names[rival]}"
    return Question(label, rival, text), model.target(label, minus=rival, name=text)


def _rival(model: HookedViT, ranking: list[int], label: int, minus: str | int | None) -> int | None:
    others = [other for other in ranking if other != label]
    if minus is None or minus == "none" or not others:
        return None
    rival = others[0] if minus == "runner-up" else _index(model, minus)
    if rival == label:
        raise ValueError(
            f"`target` and `minus` must be two classes; got {minus!r} for both. "
            "Pass another class, or minus='none' for the raw logit."
        )
    return rival


def _index(model: HookedViT, label: str | int) -> int:
    coefficients = model.target(label).coefficients
    assert coefficients is not None  # a class is no function
    return int(coefficients[0].argmax())


def _names(model: HookedViT) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Short class names: the first synonym, where no other class has the same one."""
    if model.labels is None:
        return tuple(f"class {label}" for label in range(model.cfg.n_classes or 0)), None
    first = [name.split(",")[0] for name in model.labels.names]
    count = Counter(first)
    names = zip(first, model.labels.names, strict=True)
    return tuple(short if count[short] == 1 else full for short, full in names), model.labels.emoji


def _shown(
    model: HookedViT, x: Float[Tensor, "1 channels rows columns"], cache: TransformerCache
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The input as a picture, cut to what the patches cover."""
    if model.preprocessing is not None:
        pixels = model.preprocessing.inverse(x)[0].cpu().numpy()
    else:
        spread = (x[0].float() - x.min()) / (x.max() - x.min()).clamp(min=1e-12)
        gray_or_color = spread if len(spread) == 3 else spread.mean(0).expand(3, -1, -1)
        pixels = (255 * gray_or_color).round().byte().permute(1, 2, 0).cpu().numpy()
    (_, rows, columns), (height, width) = cache.layout.grid, cache.layout.patch_size
    return pixels[: rows * height, : columns * width]
