"""Whether a model is its source: every value that both show, in float64 and in float32."""

import copy
import math
from collections.abc import Collection
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitreous._errors import UnsupportedModelError
from vitreous.models import adapters
from vitreous.models._parity_report import ParityReport, ParityRow, kind_of
from vitreous.models.adapters._correspondence import Correspondence, seen_values

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer

# In float32, a model may be further from the truth than its source by this factor.
_FLOAT32 = 2.0

# Points that hold what another one, or what comes out, holds too.
_TWINS = ("ln_pre.hook_normalized", "ln_final.hook_normalized", "hook_post_head_pre_normalize")


def gap(a: Tensor, b: Tensor) -> float:
    """max|a - b| / max|b|; 0 for two zeros, and where both are the same infinity."""
    scale = b[b.isfinite()].abs().max().item() if b.isfinite().any() else 1.0
    return torch.where(a == b, 0.0, a - b).abs().max().item() / (scale or 1.0)


@torch.no_grad()
def parity(model: "GlassTransformer", source: nn.Module, inputs: Tensor) -> ParityReport:
    """Compares a model with a module of a source library, both in copies.

    The source runs in evaluation mode, with fused attention and its buffers in the precision that
    is compared. Where the adapter computes a weight (LayerScale times an output weight), a model
    in float32 has it rounded once more than the source: as far as the model's weights are those
    of the source but for that rounding, they are computed anew in the precision that is compared.

    Raises:
        UnsupportedModelError: No adapter is responsible for the source, or it refuses it.
        ValueError: The source is of another shape, or the model was processed.
    """
    adapter = adapters.converter(source)
    if adapter is None:
        raise UnsupportedModelError(
            f"`source` must be a transformer of {' or '.join(adapters.CONVERTERS)}; got "
            f"{type(source).__name__}. Pass the module that the model was converted from."
        )
    tower = "text" if model.takes == "texts" else "image"
    about: Correspondence = adapters.correspondence(adapter, source, tower)
    device, was = model.placement.device, next(source.parameters()).dtype
    exact = _prepared(source, about, device, torch.float64)
    anew = adapters.convert(adapter, exact, tower=tower)
    _require_same_shape(model, anew)
    _require_unprocessed(model, anew)
    points = _points(model, anew)
    truth = seen_values(exact, about, _as(inputs, torch.float64), points, anew.cfg)
    del exact  # a copy in float64 is twice the model
    float64 = _errors(_twin(model, anew, anew), inputs, truth)
    rounded = _prepared(source, about, device, torch.float32)
    if was == torch.float64:  # the truth of weights that are rounded, so that they are no error
        exact = _prepared(rounded, about, device, torch.float64)
        truth = seen_values(exact, about, _as(inputs, torch.float64), points, anew.cfg)
    theirs = seen_values(rounded, about, _as(inputs, torch.float32), points, anew.cfg)
    again = adapters.convert(adapter, rounded, tower=tower)
    float32 = _errors(_twin(model, anew, again), inputs, truth)
    names = _forward_order(truth, model)
    own = [_distance(theirs[name], truth[name]) for name in names]
    allowed = accumulate((_FLOAT32 * error for error in own), max)
    ours = [(name, float64[name], float32[name]) for name in names]
    rows = [ParityRow(*got, *bounds) for got, *bounds in zip(ours, own, allowed, strict=True)]
    unseen = [name for name in _forward_order(points, model) if name not in (*truth, *_TWINS)]
    return ParityReport(
        tuple(rows),
        f"{type(source).__module__.partition('.')[0]}'s {type(source).__name__}",
        f"{len(inputs)} {model.takes if len(inputs) != 1 else model.takes.removesuffix('s')}",
        tuple(dict.fromkeys(map(kind_of, unseen))),
    )


def _prepared(
    source: nn.Module, about: Correspondence, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    module = copy.deepcopy(source).to(device=device, dtype=dtype).eval()
    about.prepare(module)
    return module


# Of images and of texts; those of the other are None on both sides.
_SIZES = (
    *("n_layers", "d_model", "n_heads", "head_width", "d_mlp", "n_classes", "n_channels"),
    *("image_shape", "patch_shape", "n_prefix", "vocab_size", "n_ctx"),
)


def _require_same_shape(model: "GlassTransformer", anew: "GlassTransformer") -> None:
    for size in _SIZES:
        ours, theirs = (getattr(each.cfg, size, None) for each in (model, anew))
        if ours != theirs:
            raise ValueError(
                f"`source` must be of the model's shape, with {size}={ours}; got {theirs}. Pass "
                "the module that the model was converted from."
            )


def _require_unprocessed(model: "GlassTransformer", anew: "GlassTransformer") -> None:
    for name in model.hook_names(on_demand=False):
        part, _, last = name.rpartition(".")
        if last == "hook_normalized" and name in anew.hook_dict:
            norms: list[Any] = [each.get_submodule(part) for each in (model, anew)]
            if norms[0].config.affine != norms[1].config.affine:
                raise ValueError(
                    f"`model` must have the norms of its source; got `{part}` with its gain folded "
                    "away. Check the model first, and process it then."
                )


def _points(model: "GlassTransformer", anew: "GlassTransformer") -> set[str]:
    points = set(model.hook_names(on_demand=False)) & set(anew.hook_names(on_demand=False))
    # With a distillation token, two heads read two vectors.
    return points | (set() if model.head.distillation is not None else {"pre_logits"})


def _twin(
    model: "GlassTransformer", exact: "GlassTransformer", anew: "GlassTransformer"
) -> "GlassTransformer":
    """A copy of the model in the dtype of `anew`, with its weights where they are the source's.

    Args:
        model: What is checked.
        exact: The source converted in float64.
        anew: The source converted in the dtype that is compared.
    """
    twin = copy.deepcopy(model).to(anew.placement.dtype).eval()
    twin.reset_hooks(including_permanent=True)
    mine, source, better = (each.state_dict() for each in (model, exact, anew))
    tables = {name for name, _ in model.named_buffers()}
    for name, tensor in twin.state_dict().items():
        if name in source and source[name].shape == tensor.shape:
            same = _is_rounded(mine[name], source[name], is_table=name in tables)
            tensor.copy_(torch.where(same, better[name].to(tensor), tensor))
    return twin


def _is_rounded(mine: Tensor, exact: Tensor, *, is_table: bool) -> Tensor:
    """Which entries are those of the source, but for rounding to the model's dtype."""
    rounded = exact.to(mine.dtype)
    if mine.dtype not in (torch.float32, torch.float64) or not mine.numel():
        return rounded == mine
    # Weights are rounded once or twice; angles are computed in several steps.
    steps = 16 if is_table else 2
    return (rounded - mine).abs() <= steps * torch.finfo(mine.dtype).eps * exact.abs().max()


def _errors(twin: "GlassTransformer", inputs: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    """How far each value of a pass is from the truth."""
    inputs, errors = _as(inputs, twin.placement.dtype), {}

    def compare(value: Tensor, hook: Any) -> None:
        errors[hook.name] = _distance(value, truth[hook.name])

    names = [name for name in truth if name in twin.hook_dict]
    output = twin.run_with_hooks(inputs, fwd_hooks=[(names, compare)])
    errors["output"] = _distance(output, truth["output"])
    if "pre_logits" in truth:
        pooled: Any = twin(inputs, return_type="pre_logits")
        errors["pre_logits"] = _distance(pooled, truth["pre_logits"])
    return errors


def _as(inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """Images in a precision, of which float32 is the most that is asked for; tokens as they are."""
    return inputs.float().to(dtype) if inputs.is_floating_point() else inputs


def _distance(value: Tensor, truth: Tensor) -> float:
    return gap(value.double(), truth) if value.shape == truth.shape else math.inf


def _forward_order(names: Collection[str], model: "GlassTransformer") -> list[str]:
    order = [*model.hook_names(on_demand=False), "pre_logits", "output"]
    return [name for name in order if name in names]
