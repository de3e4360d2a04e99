"""The identities of a residual-stream model, run on a user's own."""

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vitreous.models._parity import gap, parity
from vitreous.models._parity_report import ParityReport

if TYPE_CHECKING:
    from vitreous.models._cache import TransformerCache
    from vitreous.models._transformer import GlassTransformer


@dataclass(frozen=True)
class CheckRow:
    """One identity: how far apart its two sides are, relative to the larger value."""

    name: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.error <= self.tolerance  # a NaN error doesn't hold


@dataclass(frozen=True)
class CheckReport:
    """The table of `model.check()`; true when all identities hold, and all values are the source's.

    Attributes:
        rows: The identities.
        parity: How far the model is from its source; None where none was given.
    """

    rows: tuple[CheckRow, ...]
    parity: ParityReport | None = None

    def __bool__(self) -> bool:
        return all(row.holds for row in self.rows) and (self.parity is None or bool(self.parity))

    def __str__(self) -> str:
        above = "" if self.parity is None else f"{self.parity}\n\n"
        return above + self._identities()

    __repr__ = __str__

    def _identities(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'identity (in float64)':<{width}}  {'error':>8}  {'allowed':>8}"]
        for row in self.rows:
            verdict = "holds" if row.holds else "FAILS"
            lines.append(f"{row.name:<{width}}  {row.error:8.1e}  {row.tolerance:8.1e}  {verdict}")
        return "\n".join(lines)


# Exact on one path; where two paths meet (fused and explicit, folded and not), 1e-10.
_EXACT, _MEETING = 0.0, 1e-10


@torch.no_grad()
def check(
    model: "GlassTransformer", inputs: Tensor | None = None, source: nn.Module | None = None
) -> CheckReport:
    """Runs the identities on a float64 copy of `model`, and compares it with its source.

    Args:
        model: Any glass transformer.
        inputs: Two or more of what it takes; None draws random ones.
        source: The module of a source library that the model must be equal to; see `parity`.
    """
    if inputs is None:
        inputs = model.random_inputs(2, torch.Generator().manual_seed(0))
    inputs = inputs.to(model.placement.device)
    model.layout_for(inputs)  # refuses a size that the model doesn't take
    compared = None if source is None else parity(model, source, inputs)
    model = copy.deepcopy(model).double().eval()
    model.reset_hooks(including_permanent=True)
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    logits, cache = model.run_with_cache(inputs)
    rows = [CheckRow(*row) for row in _rows(model, inputs, logits, cache)]
    return CheckReport(tuple(rows), compared)


def _rows(
    model: "GlassTransformer", inputs: Tensor, logits: Tensor, cache: "TransformerCache"
) -> Iterator[tuple[str, float, float]]:
    plain = model(inputs)
    materialised = model.run_with_cache(inputs, names_filter=lambda _: True)[1]
    last = cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"]
    yield "every block adds what its parts write", _block_error(model, materialised), _EXACT
    yield "a cached pass is the plain pass", gap(logits, plain), _EXACT
    yield "derived values are the computed ones", _derived_error(cache, materialised), _MEETING
    decomposed = _total(cache.layer_rows())
    yield "layers add up to the stream", gap(decomposed, last), _MEETING
    heads = _total(cache.head_rows())
    yield "heads, MLPs and biases add up to it", gap(heads, last), _MEETING
    if model.cfg.pooling.kind != "none":
        yield "shares of a class add up to its logit", _target_error(model, logits, cache), _MEETING
    middle = model.cfg.n_layers // 2
    stream, layout = model(inputs, stop_at_layer=middle), model.layout_for(inputs)
    rest = model(stream, start_at_layer=middle, layout=layout)
    yield "a pass in two stretches is the whole", gap(rest, plain), _EXACT
    yield "hooks that do nothing change nothing", gap(_noop_logits(model, inputs), plain), _EXACT
    alone = model(inputs[:1])
    yield f"{model.takes} don't see one another", gap(alone, plain[:1]), _MEETING


def _block_error(model: "GlassTransformer", cache: "TransformerCache") -> float:
    errors = []
    for i in range(model.cfg.n_layers):
        middle = cache["resid_pre", i]
        for names in model.blocks[i].attentions:
            errors.append(gap(middle, cache[f"blocks.{i}.{names.reads}"]))
            middle = middle + cache[f"blocks.{i}.{names.adds}"]
        if model.cfg.has_resid_mid:
            errors.append(gap(middle, cache["resid_mid", i]))
        if not model.cfg.attn_only:
            middle = middle + cache["mlp_out", i]
        errors.append(gap(middle, cache["resid_post", i]))
    return max(errors)


def _derived_error(cache: "TransformerCache", materialised: "TransformerCache") -> float:
    return max(gap(value, materialised[name]) for name, value in cache.items())


def _target_error(model: "GlassTransformer", logits: Tensor, cache: "TransformerCache") -> float:
    rows = torch.stack(list(cache.layer_rows().values()))
    errors = []
    for label in {0, logits.shape[-1] - 1}:
        target = model.target(torch.eye(logits.shape[-1])[label])
        shares = cache.logit_attrs(rows, target).sum((0, -1)) + target.readout(cache).constant
        errors.append(gap(shares, logits[:, label]))
    return max(errors)


def _total(rows: dict[str, Tensor]) -> Tensor:
    return functools.reduce(torch.add, rows.values())  # stacked, they would be there twice


def _noop_logits(model: "GlassTransformer", inputs: Tensor) -> Tensor:
    explicit = ("hook_attn_scores", "hook_pattern", "hook_scale")
    names = [n for n in model.hook_names(on_demand=False) if not n.endswith(explicit)]
    return model.run_with_hooks(inputs, fwd_hooks=[(names, _noop)])


def _noop(value: Tensor, hook: object) -> None:
    del value, hook
