"""Runs the model once and takes from that run all numbers that a report shows."""

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import HookError
from vitreous.data import Images
from vitreous.decomposition import clean_up, direct_logit_shares, misleading_shares, shares_grid
from vitreous.heads import name_heads
from vitreous.hooks import Means
from vitreous.lenses import logit_lens
from vitreous.models import HookedViT, TransformerCache, image_tower
from vitreous.patching import ablate_heads
from vitreous.report._evidence import Evidence
from vitreous.report._pictures import shown
from vitreous.report._question import Classifier, ask, logits_of, short_names

_MOST_LOGITS = 2**23  # of a lens; beyond, the highest alone are held
_HELD = 20


def gather(
    model: Classifier,
    x: Float[Tensor, "1 channels rows columns"],
    target: str | int | None,
    minus: str | int | None,
    reference: Images | Means | None,
    heads: xarray.Dataset | None,
) -> Evidence:
    """Collects the evidence of one image; only the ablation sweep runs the model again."""
    tower = image_tower(model)
    with torch.no_grad():
        outputs, cache = tower.run_with_cache(x)
        _must_show_attention(cache)
        logits, names = logits_of(model, outputs)[0], short_names(model)
        question, aim = ask(model, logits, names, target, minus)
        by_layer = direct_logit_shares(model, x, aim, by="layer", cache=cache)
        by_source = direct_logit_shares(model, x, aim, by="head_and_source", cache=cache)
        undone = clean_up(model, x, aim, cache=cache)
        lens = logit_lens(model, x, top=_kept(tower, cache, len(names)), cache=cache)
        sweep = ablate_heads(tower, x, aim, reference=reference, cache=cache)
        layers = range(tower.cfg.n_layers)
        scores = torch.cat([cache["attn_scores", layer] for layer in layers])
    value = float(aim(outputs)[0])
    return Evidence(
        pixels=shown(tower, x, cache.layout),
        layout=cache.layout,
        pooling=tower.cfg.pooling.kind,
        classes=names,
        logits=logits.detach().cpu(),
        question=question,
        value=value,
        lens=lens.isel(image=0),
        layer_shares=by_layer.isel(image=0),
        source_shares=by_source.isel(image=0),
        head_shares=shares_grid(by_source, "head").isel(image=0).to_numpy(),
        residual=float(by_layer.isel(image=0).sum()) - value,
        misleading=tuple(misleading_shares(undone)),
        scores=scores.float().cpu().numpy(),
        names=() if heads is None else tuple(name_heads(heads)),
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


def _kept(tower: HookedViT, cache: TransformerCache, n_labels: int) -> int | None:
    """How many labels of each token a lens keeps; None for all."""
    n_logits = (tower.cfg.n_layers + 1) * cache.layout.n_tokens * n_labels
    return None if n_logits <= _MOST_LOGITS else _HELD
