"""What happens to a target when one part of a run after another is replaced."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor
from tqdm import tqdm

from vitreous.data import Images
from vitreous.models import (
    GlassTransformer,
    Pairs,
    Target,
    TransformerCache,
    as_numbers,
    require_finite,
    weight_hash,
    within_memory,
)
from vitreous.patching._finished import Finished
from vitreous.patching._nodes import Nodes
from vitreous.patching._replacements import (
    MakeIntervention,
    Reference,
    Replacement,
    digest_of,
    recorded,
    replacement_of,
)
from vitreous.patching._restarts import patched_logits, patches_of
from vitreous.patching._runs import effects, sides


def sweep(
    model: GlassTransformer,
    clean: Tensor | Images,
    corrupt: Tensor | Images | None,
    target: Target | Any,
    *,
    direction: str = "denoise",
    over: str = "heads",
    intervention: str | MakeIntervention = "patch",
    reference: Reference | None = None,
    positions: Any = "all",
    layers: Sequence[int] | None = None,
    cache: TransformerCache | None = None,
    seed: int = 0,
    max_batch: int = 64,
    progress: bool = False,
    path: str | os.PathLike[str] | None = None,
) -> xarray.Dataset:
    """Replaces one part of a run after another, each alone, and measures the target.

    Each patch goes on from a recorded run at the very point that it changes; see `model.restart`.
    Several stand along the batch, and where the head reads class tokens alone, the last block
    computes these only. Equal to one hooked forward pass per patch, under the hooks that are
    active too: it is one patch at a time where those lie behind the patch, since a hook may hold
    a value for each image.

    A part is called important here where it carries, alone, what differs between two images. Two
    parts that each suffice both look important when denoising and neither does when noising; two
    that are needed together are the other way round. See "Causal methods" in the documentation.

    Args:
        model: Any glass transformer.
        clean: Preprocessed images, or `vt.data.Images`.
        corrupt: As many that differ in what is asked, one pair per row (one stands for all). None
            for ablations, which need no second image.
        target: From `model.target(...)`, or what that takes.
        direction: `"denoise"` puts values of the clean run into the corrupt one, `"noise"` those
            of the corrupt run into the clean one.
        over: What is patched, and the dimensions of the result beside `layer`:
            `"heads"` (head; `hook_z`), `"q"`, `"k"`, `"v"` and `"pattern"` (head),
            `"heads_and_positions"` (head, token), `"mlps"` (none; `hook_mlp_out`), `"neurons"`
            (neuron; `mlp.hook_post`), `"positions"` (token) and `"layers"` (none): the stream that
            enters the block. All tokens of it are all that the block reads, so choose `positions`
            with `"layers"`. Where attention is divided over time and space, it is the one over
            space.
        intervention: `"patch"` takes the values of the other run. Ablations are `"mean"` (of
            `reference`), `"zero"`, `"resample"` (the run of another image), or a function that
            makes an intervention of a hook name: `lambda name: vt.Steer(name, direction)`.
        reference: Of a mean: `Means`, or images to take them of; None means those that the model
            carries, and without those the mean over `clean` and its tokens. Of a resample: images
            to draw from; None means the other ones of `clean`.
        positions: At which tokens values are replaced (queries, of a pattern); with tokens as a
            dimension of the result, which.
        layers: Of which blocks; None means all.
        cache: For ablations, a run on `clean` to read instead of running the model.
        seed: Of the draw for `"resample"`.
        max_batch: The most rows that run at once: pairs, times patches.
        progress: Whether to show a bar.
        path: A file for what is done. A sweep that was killed resumes from it, with the same
            result; a finished one is read from it. Hooks and functions are told from others by
            what the target says of the pairs alone.

    Returns:
        `effect[pair, layer, ...]` = target(patched) - target(baseline), in units of the output;
        `normalized` = (patched - corrupt) / (clean - corrupt), so that 1 is all of the difference
        when denoising and 0 is when noising; `clean[pair]` and `corrupt[pair]`, the target of each.
        Of ablations `effect[image, layer, ...]`, negative where the part spoke for the target, and
        `baseline[image]`. Attributes say target, direction, intervention, reference and unit.

    Raises:
        ValueError: Clean and corrupt can't be compared (see `Pairs.of`), an unknown word, a layer
            that isn't there, or a `path` that holds another sweep.
        MemoryError: `max_batch` rows don't fit.

    References:
        Vig et al., "Investigating Gender Bias in Language Models Using Causal Mediation Analysis",
        2020, section 3; Meng et al., "Locating and Editing Factual Associations in GPT", 2022,
        section 2 (denoising); Wang et al., "Interpretability in the Wild", 2022, section 2
        (ablation); Heimersheim and Nanda, "How to use and interpret activation patching", 2024.
        Departs from them: a normalized effect per pair, not one of means.
    """
    is_patch = intervention == "patch"
    if max_batch < 1:
        raise ValueError(f"`max_batch` must be 1 or more; got {max_batch}. Leave it out for 64.")
    _require_halves(corrupt, cache, is_patch)
    sides(direction)
    pairs = _asked(model, clean, corrupt, target, cache, max_batch)
    nodes = Nodes.of(pairs, over, layers, positions)
    source = replacement_of(intervention, reference, pairs, direction, nodes.points, cache, seed)
    named = intervention if isinstance(intervention, str) else source.description
    words = {"direction": direction, "over": over, "intervention": named}
    question = {} if path is None else _question(pairs, nodes, source, words)
    shape = (len(nodes.layers), *nodes.sizes, len(pairs))
    baseline = torch.stack([pairs.clean_value, pairs.corrupt_value])
    finished = Finished(shape, path, question, baseline)
    base_side = sides(direction)[0] if is_patch else "clean"
    try:
        _fill(finished, pairs, nodes, source, base_side, cache, max_batch, progress)
    finally:  # what is done isn't lost where the rest can't be
        finished.write(now=True)
    values = finished.values.to(torch.promote_types(pairs.clean_value.dtype, torch.float32))
    words |= {"reference": source.description}
    if is_patch:
        effect = (values - getattr(pairs, f"{base_side}_value").to(values)).movedim(-1, 0)
        dims = ("layer", *nodes.dims)
        return effects(pairs, effect=effect, dims=dims, coords=nodes.coords, **words)
    return _ablated(pairs, values, nodes, words)


def _require_halves(corrupt: Any, cache: TransformerCache | None, is_patch: bool) -> None:
    if is_patch and corrupt is None:
        raise ValueError(
            "`corrupt` must hold the other image of each pair for intervention 'patch'; got None. "
            "Pass it, or ablate: `intervention='mean'`."
        )
    if not is_patch and corrupt is not None:
        raise ValueError(
            "`corrupt` must be None for an ablation, which replaces parts of the clean run alone; "
            "got images. Drop them, or use intervention 'patch'."
        )
    if is_patch and cache is not None:
        raise ValueError(
            "`cache` must be None for intervention 'patch', which needs two runs; got one. "
            "Leave it out."
        )


def _asked(
    model: GlassTransformer,
    clean: Any,
    corrupt: Any,
    target: Any,
    cache: TransformerCache | None,
    max_batch: int,
) -> Pairs:
    """The pairs; of an ablation each image stands for itself, and nothing needs to differ."""
    if corrupt is not None:
        return Pairs.of(model, clean, corrupt, target, max_batch=max_batch)
    return Pairs.alone(
        model,
        clean,
        target,
        max_batch=max_batch,
        logits=None if cache is None else cache.at("hook_post_head_pre_normalize"),
    )


def _fill(
    finished: Finished,
    pairs: Pairs,
    nodes: Nodes,
    source: Replacement,
    base_side: str,
    cache: TransformerCache | None,
    max_batch: int,
    progress: bool,
) -> None:
    """Computes all values that aren't there yet, batch by batch and layer by layer."""
    model = pairs.model
    needed = [name for point in nodes.points for name in model.restart_names(point)]
    needed = list(dict.fromkeys(needed))
    size = len(pairs) if cache is not None else max_batch
    batches = [slice(start, start + size) for start in range(0, len(pairs), size)]
    places = range(len(nodes.layers))
    lacking = {rows.start: [len(finished.missing(p, rows)) for p in places] for rows in batches}
    total = sum(map(sum, lacking.values()))
    with tqdm(total=total, unit="patch", desc=nodes.over, disable=not progress) as bar:
        for rows in (rows for rows in batches if any(lacking[rows.start])):
            part = pairs.at(rows)
            with within_memory(len(part)):
                base = cache or recorded(model, getattr(part, base_side), needed)
                values = source.at(model, base, rows, needed)
            for place in places:
                _fill_layer(finished, place, part, rows, nodes, base, values, max_batch, bar.update)


def _fill_layer(
    finished: Finished,
    place: int,
    pairs: Pairs,
    rows: slice,
    nodes: Nodes,
    base: TransformerCache,
    values: Callable[[str], Tensor],
    max_batch: int,
    advance: Callable[[int], Any],
) -> None:
    patches = finished.missing(place, rows)
    if not patches:
        return
    name = nodes.point(nodes.layers[place])
    indices = [np.unravel_index(patch, nodes.sizes) if nodes.sizes else () for patch in patches]
    indices = [tuple(map(int, index)) for index in indices]
    made = patches_of(nodes.put, base.at(name), indices, values(name))
    left = iter(patches)
    for several in patched_logits(pairs.model, base, name, made, max_batch):
        for logits in several:
            said = require_finite(pairs.target(logits), pairs.target.name)
            finished.put(place, next(left), rows, said)
        advance(len(several))
        finished.write()


def _question(
    pairs: Pairs, nodes: Nodes, source: Replacement, words: dict[str, str]
) -> dict[str, str]:
    """All that a result depends on, but for the hooks that are active."""
    target = pairs.target
    given = [x for x in (target.coefficients, target.constant) if x is not None]
    return {
        "model": weight_hash(pairs.model),
        "pairs": digest_of(pairs.clean, pairs.corrupt),
        "target": f"{target.name} ({digest_of(*given)})",
        **words,
        "layers": json.dumps(nodes.layers),
        "positions": json.dumps(nodes.tokens),
        "reference": f"{source.description} ({source.digest})",
    }


def _ablated(pairs: Pairs, values: Tensor, nodes: Nodes, words: dict[str, str]) -> xarray.Dataset:
    effect = (values - pairs.clean_value.to(values)).movedim(-1, 0)
    about = {name: words[name] for name in ("intervention", "reference")}
    return xarray.Dataset(
        {
            "effect": (("image", "layer", *nodes.dims), as_numbers(effect)),
            "baseline": ("image", as_numbers(pairs.clean_value)),
        },
        coords=nodes.coords,
        attrs={"target_name": pairs.target.name, "unit": "logit"} | about,
    )
