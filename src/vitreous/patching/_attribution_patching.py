"""What patching each node would do, to first order: all nodes from one gradient."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import ActivationPatch
from vitreous.models import GlassTransformer, Pairs, Target, as_numbers, within_memory
from vitreous.patching._nodes import Nodes
from vitreous.patching._runs import Direction, Run, effects, require_one_of, sides, stream_into

Gradient = Literal["clean", "corrupt", "integrated", "integrated-activations"]
_GRADIENTS = ("clean", "corrupt", "integrated", "integrated-activations")


def attribution_patching(
    model: GlassTransformer,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any,
    *,
    over: str = "heads",
    direction: Direction = "denoise",
    gradient: Gradient | None = None,
    steps: int = 5,
    layers: Sequence[int] | None = None,
    positions: Any = "all",
    check: int = 8,
    seed: int = 0,
    max_batch: int = 64,
) -> xarray.Dataset:
    """Estimates what patching each node alone does, from gradients and not from one pass each.

    The estimate is `(value in the other run - value in the baseline) . gradient`, summed over all
    that is patched together. It is exact where the target is linear in the node, and its error
    grows as the square of the step elsewhere: a gradient doesn't see that a softmax or a
    nonlinearity saturates, nor that a norm divides by more when its input grows. So some nodes
    are patched for real, and the result says how far off the estimates of those are.

    Attention stays fused (except over `"pattern"`), and what single heads write is never laid out.

    Args:
        model: Any glass transformer.
        clean: Preprocessed images, or `vt.data.Images`.
        corrupt: The other halves of the pairs; one stands for all.
        target: From `model.target(...)`, or what that takes.
        over: What a node is: `"heads"` (`hook_z`), `"layers"` (the stream that enters a block),
            `"mlps"` (`hook_mlp_out`), `"positions"` (that stream, token by token),
            `"heads_and_positions"`, `"q"`, `"k"`, `"v"`, `"pattern"` (of each head), or
            `"neurons"` (`mlp.hook_post`).
        direction: `"denoise"` puts clean values into the corrupt run, `"noise"` the reverse.
        gradient: Where it is taken. `"clean"` and `"corrupt"`: in that run; None means the
            baseline's. `"integrated"`: its mean while the stream that enters the first block goes
            straight from one run to the other, and all nodes with it. `"integrated-activations"`:
            its mean while the nodes of one layer go straight from their values in the baseline to
            those in the other run, and all in front of them stays; for a kind with one node per
            layer this is the exact effect, in the limit of many steps, and for the others the
            estimates of a layer add up to the effect of patching all of them.
        steps: Points of a path, at the middles of as many equal parts.
        layers: Blocks; None means all.
        positions: The tokens that are patched (queries, over `"pattern"`).
        check: How many nodes, drawn at random, are patched for real; 0 for none.
        seed: Of that draw.
        max_batch: The most images that run at once.

    Returns:
        As of a sweep: `effect[pair, layer, ...]`, the estimate of target(patched) -
        target(baseline), in units of the output: positive where the patch would raise the target;
        `normalized`, on the scale on which corrupt is 0 and clean is 1; `clean[pair]` and
        `corrupt[pair]`. With `check`, also `sampled_exact[pair, component]` and
        `sampled_estimate`, one component per drawn node, and in `attrs` their
        `correlation` and `mean_absolute_error` (in units of the output), over pairs and nodes.

    Raises:
        ValueError: Pairs that can't be compared (see `Pairs.of`), MLPs or layers that aren't there.
        MemoryError: `max_batch` images don't fit into memory.

    References:
        Nanda, "Attribution Patching: Activation Patching At Industrial Scale", 2023, and Syed et
        al., "Attribution Patching Outperforms Automated Circuit Discovery", 2023, section 3.
        Integrated: Hanna et al., "Have Faith in Faithfulness", 2024, section 3.2, and Marks et
        al., "Sparse Feature Circuits", 2024, equation 3. Departs from them: steps lie at the
        middles of their parts, not at the ends, which errs by the square of a part; the first path
        is that of the stream behind embedding and positions.
    """
    base = sides(direction)[0]
    where: str = base if gradient is None else gradient
    require_one_of("gradient", where, _GRADIENTS)
    _require_counts(steps, check)
    pairs = Pairs.of(model, clean, corrupt, target, max_batch=max_batch)
    nodes = Nodes.of(pairs, over, layers, positions)
    drawn = nodes.drawn(check, seed)
    estimates, truths = [], []
    with torch.no_grad():
        for batch in pairs.batches(max_batch):
            with within_memory(len(batch)):
                estimates.append(_estimated(nodes, batch, direction, where, steps))
                truths.append(_exact(nodes, batch, direction, drawn))
    estimate = torch.cat(estimates)
    about = {"over": over, "gradient": where, "estimate": "first order"}
    dims = ("layer", *nodes.dims)
    result = effects(pairs, direction, estimate, dims, nodes.coords, **about)
    return _with_sample(result, nodes, drawn, estimate, torch.cat(truths)) if drawn else result


def _require_counts(steps: int, check: int) -> None:
    for name, value, least in (("steps", steps, 1), ("check", check, 0)):
        if value < least:
            raise ValueError(f"`{name}` must be {least} or more; got {value}. Pass a whole number.")


# ---- the estimate


def linear_effect(
    base: Float[Tensor, "batch *components"],
    source: Float[Tensor, "batch *components"],
    gradient: Float[Tensor, "batch *components"],
) -> Float[Tensor, "batch *components"]:
    """The first-order effect of each entry; half precision is multiplied as float32."""
    wide = torch.promote_types(base.dtype, torch.float32)
    return (source.to(wide) - base.to(wide)) * gradient.to(wide)


def _estimated(
    nodes: Nodes, batch: Pairs, direction: str, gradient: str, steps: int
) -> Float[Tensor, "batch layers *components"]:
    base, source = sides(direction)
    runs = {side: _read(nodes, batch, side, gradient) for side in (base, source)}
    if gradient in runs:
        slopes = _gradients(nodes.points, runs[gradient])
    elif gradient == "integrated":
        slopes = _along_inputs(nodes, batch, runs, steps)
    else:
        slopes = _along_activations(nodes, batch, runs[base], runs[source], steps)
    each = [
        nodes.by_node(linear_effect(runs[base][point], runs[source][point], slopes[point]))
        for point in nodes.points
    ]
    return torch.stack(each, 1)


def _read(nodes: Nodes, batch: Pairs, side: str, gradient: str) -> Mapping[Any, Tensor]:
    """One pass: the values of the nodes, and the gradient at them or where paths start."""
    starts = {
        "integrated": [stream_into(batch.model, 0)],
        "integrated-activations": [stream_into(batch.model, layer) for layer in nodes.layers],
    }.get(gradient, [])
    _, cache = batch.model.run_with_cache(
        getattr(batch, side),
        names_filter=list(dict.fromkeys([*nodes.points, *starts])),
        incl_bwd=batch.target if side == gradient else False,
        return_type=None,
    )
    return cache


def _gradients(points: Sequence[str], cache: Mapping[Any, Tensor]) -> dict[str, Tensor]:
    return {point: cache[f"{point}_grad"] for point in points}


def _along_inputs(
    nodes: Nodes, batch: Pairs, runs: Mapping[str, Mapping[Any, Tensor]], steps: int
) -> dict[str, Tensor]:
    """The mean gradient while the stream that enters the first block goes from run to run."""
    model, enters = batch.model, stream_into(batch.model, 0)
    start = {"start_at_layer": 0, "layout": model.layout_for(batch.clean)}
    total: dict[str, Tensor] = {}
    for share in _middles(steps):
        stream = runs["corrupt"][enters].lerp(runs["clean"][enters], share)
        _, cache = model.run_with_cache(
            stream, names_filter=nodes.points, incl_bwd=batch.target, **start
        )
        for point, slope in _gradients(nodes.points, cache).items():
            total[point] = total.get(point, 0) + slope / steps
    return total


def _along_activations(
    nodes: Nodes,
    batch: Pairs,
    base: Mapping[Any, Tensor],
    source: Mapping[Any, Tensor],
    steps: int,
) -> dict[str, Tensor]:
    """The mean gradient while the nodes of one layer go from run to run, layer by layer."""
    return {
        point: _along_layer(nodes, batch, layer, base, source[point], steps)
        for layer, point in zip(nodes.layers, nodes.points, strict=True)
    }


def _along_layer(
    nodes: Nodes,
    batch: Pairs,
    layer: int,
    base: Mapping[Any, Tensor],
    source: Tensor,
    steps: int,
) -> Tensor:
    model, point = batch.model, nodes.point(layer)
    start = {"start_at_layer": layer, "layout": model.layout_for(batch.clean)}
    total = torch.zeros_like(source)
    for share in _middles(steps):
        moved = nodes.moved(base[point], source, share)
        _, cache = model.run_with_cache(
            base[stream_into(model, layer)],
            names_filter=point,
            fwd_hooks=[(point, lambda value, hook, moved=moved: moved)],
            incl_bwd=batch.target,
            **start,
        )
        total += cache[f"{point}_grad"] / steps
    return total


def _middles(steps: int) -> list[float]:
    return [(step + 0.5) / steps for step in range(steps)]


# ---- how far off it is


def _exact(
    nodes: Nodes, batch: Pairs, direction: str, drawn: Sequence[tuple[int, ...]]
) -> Float[Tensor, "batch components"]:
    """The drawn nodes, each patched for real."""
    if not drawn:
        return batch.clean_value.new_empty(len(batch), 0)
    base_side, source_side = sides(direction)
    points = {nodes.site(place).name for place in drawn}
    source = Run(batch.model, getattr(batch, source_side), points)
    base = Run(batch.model, getattr(batch, base_side))
    baseline = getattr(batch, f"{base_side}_value")
    effect = baseline.new_empty(len(batch), len(drawn))
    for column, place in enumerate(drawn):
        site = nodes.site(place)
        with batch.model.intervene(ActivationPatch(site, source[site.name])):
            logits = base.again(nodes.layers[place[0]])
        effect[:, column] = batch.target(logits) - baseline
    return effect


def _with_sample(
    result: xarray.Dataset,
    nodes: Nodes,
    drawn: Sequence[tuple[int, ...]],
    estimate: Tensor,
    exact: Float[Tensor, "batch components"],
) -> xarray.Dataset:
    chosen = torch.stack([estimate[(slice(None), *place)] for place in drawn], 1)
    result["sampled_exact"] = (("pair", "component"), as_numbers(exact))
    result["sampled_estimate"] = (("pair", "component"), as_numbers(chosen))
    result["component"] = [nodes.label(place) for place in drawn]
    truth, guess = as_numbers(exact).ravel(), as_numbers(chosen).ravel()
    result.attrs |= {
        "checked": f"{len(drawn)} of {len(nodes.layers) * int(np.prod(nodes.sizes))} nodes",
        "correlation": _correlation(truth, guess),
        "mean_absolute_error": float(np.abs(truth - guess).mean()),
    }
    return result


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; NaN where one of them doesn't vary."""
    if min(one.std(), other.std()) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
