"""Whether a model is its source: every value that both show, in float64 and in float32."""

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitreous._errors import UnsupportedModelError
from vitreous.models import adapters
from vitreous.models.adapters._correspondence import FINAL, Correspondence, seen_values

if TYPE_CHECKING:
    from vitreous.models._vit import HookedViT

# What is allowed: in float64, relative to the largest value; in float32, times the source's own.
_FLOAT64, _FLOAT32 = 1e-10, 2.0

# Points that hold what another one, or what comes out, holds too.
_TWINS = (FINAL, "hook_post_head_pre_normalize")


@dataclass(frozen=True)
class ParityRow:
    """How far a value of the model is from the source's, relative to the largest of the latter.

    Attributes:
        name: The hook point, `pre_logits` (what the head reads) or `output`.
        float64: Model and source both in float64.
        float32: The model in float32, the source in float64.
        source_float32: The source in float32, and itself in float64.
        allowed_float32: Twice the largest such error that the source has made so far, here or
            before: a single value may be right by luck.
    """

    name: str
    float64: float
    float32: float
    source_float32: float
    allowed_float32: float

    @property
    def holds(self) -> bool:
        return self.excess <= 1

    @property
    def excess(self) -> float:
        """The larger of both errors, in units of what is allowed; infinite for NaN."""
        in_float64 = _ratio(self.float64, self.allowed_float64)
        return max(in_float64, _ratio(self.float32, self.allowed_float32))

    @property
    def allowed_float64(self) -> float:
        return _FLOAT64

    @property
    def kind(self) -> str:
        """The name with a star for the layer."""
        return _kind(self.name)

    @property
    def layer(self) -> str:
        return next((part for part in self.name.split(".") if part.isdecimal()), "")


def _kind(name: str) -> str:
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


@dataclass(frozen=True)
class ParityReport:
    """The table of `model.check(source=...)`; true when every value agrees.

    Attributes:
        rows: One per value that both show, in forward order.
        source: What it was compared with.
        n_images: On how many images.
        not_compared: Kinds of hook points that the source has no part for.
    """

    rows: tuple[ParityRow, ...]
    source: str
    n_images: int
    not_compared: tuple[str, ...]

    def __bool__(self) -> bool:
        return all(row.holds for row in self.rows)

    @property
    def first_difference(self) -> ParityRow | None:
        """Where, in forward order, the two begin to differ; None where they agree."""
        return next((row for row in self.rows if not row.holds), None)

    def worst(self) -> list[ParityRow]:
        """For each kind of value, the layer that is furthest from what is allowed."""
        kinds: dict[str, ParityRow] = {}
        for row in self.rows:
            if row.kind not in kinds or row.excess > kinds[row.kind].excess:
                kinds[row.kind] = row
        return list(kinds.values())

    def to_dict(self) -> dict[str, list[Any]]:
        """All rows as columns, as pandas, polars and JSON take them."""
        names = [*(field.name for field in fields(ParityRow)), "allowed_float64", "holds"]
        return {name: [getattr(row, name) for row in self.rows] for name in names}

    def __str__(self) -> str:
        worst = self.worst()
        width = max(len(row.kind) for row in worst)
        head = f"{'value, at its worst layer':<{width}}  layer   float64  allowed   "
        images = f"{self.n_images} image{'s' * (self.n_images != 1)}"
        lines = [f"Equality with {self.source} on {images}", head + "float32  source's   allowed"]
        for row in worst:
            lines.append(
                f"{row.kind:<{width}}  {row.layer:>5}  {row.float64:8.1e}  {row.allowed_float64:7.0e}  "
                f"{row.float32:8.1e}  {row.source_float32:8.1e}  {row.allowed_float32:8.1e}  "
                f"{'agrees' if row.holds else 'DIFFERS'}"
            )
        return "\n".join([*lines, self._verdict()])

    __repr__ = __str__

    def _verdict(self) -> str:
        first = self.first_difference
        if first is not None:
            differing = sum(not row.holds for row in self.rows)
            return (
                f"{differing} of {len(self.rows)} values differ; the first in forward order is "
                f"{first.name}."
            )
        unseen = f" Not seen in the source: {', '.join(self.not_compared)}."
        return f"All {len(self.rows)} values agree." + (unseen if self.not_compared else "")


def _ratio(error: float, allowed: float) -> float:
    if math.isnan(error) or math.isnan(allowed):
        return math.inf
    return 0.0 if error == 0 else error / allowed if allowed else math.inf


def gap(a: Tensor, b: Tensor) -> float:
    """max|a - b| / max|b|; 0 for two zeros, and where both are the same infinity."""
    scale = b[b.isfinite()].abs().max().item() if b.isfinite().any() else 1.0
    return torch.where(a == b, 0.0, a - b).abs().max().item() / (scale or 1.0)


@torch.no_grad()
def parity(model: "HookedViT", source: nn.Module, images: Tensor) -> ParityReport:
    """Compares a model with a module of a source library, both in copies.

    The source runs in evaluation mode, with fused attention and its buffers in the precision that
    is compared. Where the adapter computes a weight (LayerScale times an output weight), a model
    in float32 has it rounded once more than the source: as far as the model's weights are those
    of the source but for that rounding, they are computed anew in the precision that is compared.

    Raises:
        UnsupportedModelError: No adapter is responsible for the source, or it refuses it.
        ValueError: The source is of another shape.
    """
    adapter = adapters.converter(source)
    if adapter is None:
        raise UnsupportedModelError(
            f"`source` must be a transformer of {' or '.join(adapters.CONVERTERS)}; got "
            f"{type(source).__name__}. Pass the module that the model was converted from."
        )
    about: Correspondence = adapter.correspondence(source)
    device, was = model.placement.device, next(source.parameters()).dtype
    exact = _prepared(source, about, device, torch.float64)
    anew = adapter.convert(exact)
    _require_same_shape(model, anew)
    points = _points(model, anew)
    truth = seen_values(exact, about, images.double(), points, anew.cfg)
    float64 = _errors(_twin(model, anew, anew), images, truth)
    rounded = _prepared(source, about, device, torch.float32)
    if was == torch.float64:  # the truth of weights that are rounded, so that they are no error
        exact = _prepared(rounded, about, device, torch.float64)
        truth = seen_values(exact, about, images.double(), points, anew.cfg)
    theirs = seen_values(rounded, about, images.float(), points, anew.cfg)
    float32 = _errors(_twin(model, anew, adapter.convert(rounded)), images, truth)
    names = _forward_order(truth, model)
    own = [_distance(theirs[name], truth[name]) for name in names]
    allowed = accumulate((_FLOAT32 * error for error in own), max)
    rows = zip(names, map(float64.get, names), map(float32.get, names), own, allowed, strict=True)
    unseen = [name for name in _forward_order(points, model) if name not in (*truth, *_TWINS)]
    return ParityReport(
        tuple(ParityRow(*row) for row in rows),
        f"{type(source).__module__.partition('.')[0]}'s {type(source).__name__}",
        len(images),
        tuple(dict.fromkeys(map(_kind, unseen))),
    )


def _prepared(
    source: nn.Module, about: Correspondence, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    module = copy.deepcopy(source).to(device=device, dtype=dtype).eval()
    about.prepare(module)
    return module


_SIZES = (
    *("n_layers", "d_model", "n_heads", "head_width", "d_mlp", "n_channels", "image_shape"),
    *("patch_shape", "n_prefix", "n_classes"),
)


def _require_same_shape(model: "HookedViT", anew: "HookedViT") -> None:
    for size in _SIZES:
        ours, theirs = getattr(model.cfg, size), getattr(anew.cfg, size)
        if ours != theirs:
            raise ValueError(
                f"`source` must be of the model's shape, with {size}={ours}; got {theirs}. Pass "
                "the module that the model was converted from."
            )


def _points(model: "HookedViT", anew: "HookedViT") -> set[str]:
    """What can be compared: a norm whose gain was folded away says another thing."""
    points = set(model.hook_names(on_demand=False)) & set(anew.hook_names(on_demand=False))
    for name in [name for name in points if name.endswith(".hook_normalized")]:
        part = name.removesuffix(".hook_normalized")
        norms: list[Any] = [each.get_submodule(part) for each in (model, anew)]
        if norms[0].config.affine != norms[1].config.affine:
            points -= {name, "hook_ln_final" if name == FINAL else name}
    # With a distillation token, two heads read two vectors.
    return points | (set() if model.cfg.distillation_token else {"pre_logits"})


def _twin(model: "HookedViT", exact: "HookedViT", anew: "HookedViT") -> "HookedViT":
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


def _errors(twin: "HookedViT", images: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    """How far each value of a pass is from the truth."""
    images, errors = images.to(twin.placement), {}

    def compare(value: Tensor, hook: Any) -> None:
        errors[hook.name] = _distance(value, truth[hook.name])

    names = [name for name in truth if name in twin.hook_dict]
    output = twin.run_with_hooks(images, fwd_hooks=[(names, compare)])
    errors["output"] = _distance(output, truth["output"])
    if "pre_logits" in truth:
        pooled: Any = twin(images, return_type="pre_logits")
        errors["pre_logits"] = _distance(pooled, truth["pre_logits"])
    return errors


def _distance(value: Tensor, truth: Tensor) -> float:
    return gap(value.double(), truth) if value.shape == truth.shape else math.inf


def _forward_order(names: Collection[str], model: "HookedViT") -> list[str]:
    order = [*model.hook_names(on_demand=False), "pre_logits", "output"]
    return [name for name in order if name in names]
