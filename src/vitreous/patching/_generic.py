"""Activation patching as TransformerLens asks for it: any setter, any point, any index."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas
import torch
from torch import Tensor
from tqdm import tqdm

from vitreous.hooks import ActivationCache, HookPoint
from vitreous.models import GlassTransformer, get_act_name
from vitreous.patching._replacements import recorded
from vitreous.patching._restarts import Setter, patched_logits, patches_of

_AXES = ("layer", "pos", "head", "head_index", "src_pos", "dest_pos")


def generic_activation_patch(
    model: GlassTransformer,
    corrupted_tokens: Tensor,
    clean_cache: ActivationCache,
    patching_metric: Callable[[Tensor], Tensor | float],
    patch_setter: Setter,
    activation_name: str,
    index_axis_names: Sequence[str] | None = None,
    index_df: pandas.DataFrame | None = None,
    return_index_df: bool = False,
    *,
    max_batch: int = 64,
    progress: bool = False,
) -> Any:
    """Patches values of a clean run into a corrupted one, index by index.

    TransformerLens's function, for fingers that know it; `sweep` gives labeled results by pair.
    Points at which a run can restart do so, several indices at a time, under all active hooks;
    others are a whole pass per index.

    Args:
        model: Any glass transformer.
        corrupted_tokens: Preprocessed images (or token ids) of the run that is patched.
        clean_cache: The run that values come from, of as many images.
        patching_metric: `logits -> one number`, over the whole batch.
        patch_setter: `(corrupted_activation, index, clean_activation) -> patched_activation`; the
            first entry of the index is the layer. It may write into what it gets.
        activation_name: A short name: `"resid_pre"`, `"z"`, `"pattern"`.
        index_axis_names: What to go through, of `"layer"`, `"pos"`, `"head"` (or `"head_index"`),
            `"src_pos"` and `"dest_pos"`, the layer first.
        index_df: The indices themselves, one per row, in place of those.
        return_index_df: Whether to return them too.
        max_batch: The most rows that run at once.
        progress: Whether to show a bar.

    Returns:
        The metric of each patched run, with one dimension per axis, or one entry per row of
        `index_df`; with `return_index_df` a pair of that and the table of indices.

    Raises:
        ValueError: Neither or both of the two, an unknown axis, or a metric that isn't one number.

    References:
        TransformerLens, `transformer_lens.patching`. Departs from it: restarts instead of whole
        passes, no bar unless asked for.
    """
    if (index_axis_names is None) == (index_df is None):
        raise ValueError(
            "Either `index_axis_names` or `index_df` must say what to go through; got "
            f"{'none' if index_df is None else 'both'}. Pass one of them."
        )
    sizes: tuple[int, ...] | None = None
    if index_df is None:
        assert index_axis_names is not None
        sizes = _sizes(model, corrupted_tokens, index_axis_names)
        every = itertools.product(*map(range, sizes))
        index_df = pandas.DataFrame(list(every), columns=list(index_axis_names))
    rows = [tuple(map(int, row)) for row in index_df.itertuples(index=False)]
    values = torch.zeros(len(rows), dtype=torch.float64)
    with tqdm(total=len(rows), unit="patch", disable=not progress) as bar:
        for layer, places in _by_layer(model, rows).items():
            name = get_act_name(activation_name, layer)
            indices = [rows[place] for place in places]
            left = iter(places)
            for logits in _patched(
                model, corrupted_tokens, clean_cache, patch_setter, name, indices, max_batch
            ):
                values[next(left)] = _number(patching_metric(logits))
                bar.update()
    values = values.to(torch.promote_types(model.placement.dtype, torch.float32))
    values = values.to(model.placement.device)
    values = values if sizes is None else values.view(sizes)
    return (values, index_df) if return_index_df else values


def _patched(
    model: GlassTransformer,
    inputs: Tensor,
    clean_cache: ActivationCache,
    setter: Setter,
    name: str,
    indices: list[tuple[int, ...]],
    max_batch: int,
) -> Iterator[Tensor]:
    """The logits for each index, one after the other."""
    source = clean_cache[name]
    if model.can_restart(name):
        base = recorded(model, inputs, model.restart_names(name))
        made = patches_of(setter, base.at(name), indices, source)
        for several in patched_logits(model, base, name, made, max_batch):
            yield from several
        return
    for index in indices:

        def put(tensor: Tensor, hook: HookPoint, index: tuple[int, ...] = index) -> Tensor:
            del hook
            return setter(tensor, index, source)

        with torch.no_grad():
            yield model.run_with_hooks(inputs, fwd_hooks=[(name, put)])


def _sizes(model: GlassTransformer, inputs: Tensor, names: Sequence[str]) -> tuple[int, ...]:
    n_tokens, cfg = model.layout_for(inputs).n_tokens, model.cfg
    sizes = dict.fromkeys(("pos", "src_pos", "dest_pos"), n_tokens)
    sizes |= {"layer": cfg.n_layers, "head": cfg.n_heads, "head_index": cfg.n_heads}
    wrong = [name for name in names if name not in sizes]
    if wrong or not names or names[0] != "layer":
        raise ValueError(
            f"`index_axis_names` must be of {', '.join(_AXES)}, the layer first; got "
            f"{list(names)}. Pass such names."
        )
    return tuple(sizes[name] for name in names)


def _by_layer(model: GlassTransformer, rows: Sequence[tuple[int, ...]]) -> dict[int, list[int]]:
    """The places of the indices of each layer."""
    found: dict[int, list[int]] = {}
    for place, (layer, *_) in enumerate(rows):
        if not 0 <= layer < model.cfg.n_layers:
            raise ValueError(
                f"The first entry of an index must be a layer in 0..{model.cfg.n_layers - 1}; got "
                f"{layer}. Put the layer first."
            )
        found.setdefault(layer, []).append(place)
    return found


def _number(value: Any) -> float:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(
            "`patching_metric` must give one number for the whole batch; got shape "
            f"{list(value.shape)}. Take its mean, or use `sweep`, which keeps pairs apart."
        )
    return float(value)
