"""Where a module of a source library has the values that we have hook points for.

Each adapter keeps tables of `Seen`, in forward order; `seen_values` runs the source and reads them.
A row whose part a module lacks, or whose point our model lacks, says nothing: one table serves a
whole family. Nothing else of a value is changed than what a view says.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

# A point of the last norm, which a model may lack.
FINAL = "ln_final.hook_scale"

# From a value of the source to one of ours, given our configuration; None where it is another.
View = Callable[[Tensor, Any], Tensor | None]


def as_is(value: Tensor, cfg: Any) -> Tensor:
    return value


@dataclass(frozen=True)
class Seen:
    """Where the source has the value of one of our points.

    The output of an `nn.Identity` counts as none: it is whatever came in.

    Attributes:
        name: Our point, below the block or the model.
        paths: Parts of the source, below its block or its model. Where several are there, the
            first that ran counts.
        end: Whether it goes into the part, or comes out of it (the first element of a tuple).
        view: Brings it into our shape.
        call: Which of several calls of the part shows it; None where the part runs once.
        where: Another point that our model must have, below the same block.
        unless: A part or weight of the source that must not be there.
    """

    name: str
    paths: tuple[str, ...]
    end: Literal["input", "output"] = "output"
    view: View = as_is
    call: int | None = None
    where: str | None = None
    unless: str | None = None


def comes_out(name: str, *paths: str, **how: Any) -> Seen:
    return Seen(name, paths, "output", **how)


def goes_in(name: str, *paths: str, **how: Any) -> Seen:
    return Seen(name, paths, "input", **how)


def below(path: str, rows: Iterable[Seen]) -> tuple[Seen, ...]:
    """The same rows for a part of a module."""
    at = f"{path}." if path else ""
    return tuple(replace(row, paths=tuple(f"{at}{each}" for each in row.paths)) for row in rows)


def unprepared(module: nn.Module) -> None:
    """Nothing is to be done to a copy before it is run."""


@dataclass(frozen=True)
class Correspondence:
    """What of one module of a source can be compared with ours.

    Attributes:
        blocks: Where its list of blocks is.
        in_block: What each block shows, beside the stream in front of it and behind it.
        outside: What the rest shows. `pre_logits` is what the head reads.
        run: Gives what our forward pass gives, from the same inputs.
        prepare: Changes a copy, in evaluation mode and its final dtype, so that it computes in
            that dtype throughout.
        arrange: What is done first to every value in a block.
    """

    blocks: str
    in_block: tuple[Seen, ...]
    outside: tuple[Seen, ...]
    run: Callable[[Any, Tensor], Tensor]
    prepare: Callable[[Any], None] = unprepared
    arrange: View = as_is


_AROUND_A_BLOCK = (goes_in("hook_resid_pre", ""), comes_out("hook_resid_post", ""))


@torch.no_grad()
def seen_values(
    module: Any, about: Correspondence, inputs: Tensor, points: Collection[str], cfg: Any
) -> dict[str, Tensor]:
    """Runs a module of a source once.

    Args:
        module: In evaluation mode.
        about: What its adapter says of it.
        inputs: Images, or what else our model takes.
        points: The names that our model has.
        cfg: Our model's configuration.

    Returns:
        Its values by our names, and what comes out as `output`.
    """
    noted: list[tuple[str, Seen, list[Tensor]]] = []
    handles = []
    for name, row, part in _parts(module, about, points):
        noted.append((name, row, []))
        handles.append(part.register_forward_hook(_note(row.end, noted[-1][2]), with_kwargs=True))
    try:
        output = about.run(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    values: dict[str, Tensor] = {}
    for name, row, calls in noted:
        value = None if name in values else _chosen(calls, row.call)
        if value is not None and name.startswith("blocks."):
            value = about.arrange(value, cfg)
        value = None if value is None else row.view(value, cfg)
        if value is not None:
            values[name] = value
    return values | {"output": output}


def _parts(
    module: nn.Module, about: Correspondence, points: Collection[str]
) -> Iterator[tuple[str, Seen, nn.Module]]:
    for row in about.outside:
        yield from _in_part(module, "", row, points)
    for layer, block in enumerate(module.get_submodule(about.blocks).children()):
        for row in (*_AROUND_A_BLOCK, *about.in_block):
            yield from _in_part(block, f"blocks.{layer}.", row, points)


def _in_part(
    part: nn.Module, at: str, row: Seen, points: Collection[str]
) -> Iterator[tuple[str, Seen, nn.Module]]:
    name = f"{at}{row.name}"
    lacks = row.where is not None and f"{at}{row.where}" not in points
    if name not in points or lacks or _find(part, row.unless) is not None:
        return
    for path in row.paths:
        found = _find(part, path)
        if isinstance(found, nn.Module) and not (
            row.end == "output" and isinstance(found, nn.Identity)
        ):
            yield name, row, found


def _find(part: Any, path: str | None) -> Any:
    """A part of a part, by its path; None where there is none."""
    if path is None:
        return None
    for name in filter(None, path.split(".")):
        part = getattr(part, name, None)
    return part


def _note(end: str, calls: list[Tensor]) -> Callable[..., None]:
    def note(_part: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        value = output if end == "output" else next(iter((*args, *named.values())))
        value = value[0] if isinstance(value, tuple) else value
        # A copy, since a source may go on to change it in place.
        calls.append(value.detach().clone())

    return note


def _chosen(calls: list[Tensor], call: int | None) -> Tensor | None:
    if call is None:
        return calls[0] if len(calls) == 1 else None
    return calls[call] if call < len(calls) else None


# ---- views


def by_heads(value: Tensor, cfg: Any) -> Tensor:
    """`[batch tokens (heads d_head)]` to `[batch tokens heads d_head]`.

    Keys and values that several heads share are repeated for each of them.
    """
    return _repeated(value.unflatten(-1, (-1, cfg.head_width)), cfg.n_heads)


def heads_first(value: Tensor, cfg: Any) -> Tensor:
    """`[batch heads tokens d_head]` to `[batch tokens heads d_head]`."""
    return _repeated(value.transpose(1, 2), cfg.n_heads)


def third(place: int) -> View:
    """Queries, keys or values of an output that has all three."""
    return lambda value, cfg: by_heads(value.chunk(3, -1)[place], cfg)


def pooled_heads(value: Tensor, cfg: Any) -> Tensor:
    """`[batch 1 (heads d_head)]` of attention pooling to `[batch 1 heads d_head]`."""
    return value.unflatten(-1, (-1, cfg.pooling.map.d_head))


def pooled_heads_first(value: Tensor, cfg: Any) -> Tensor:
    """`[batch heads tokens d_head]` of attention pooling, whose heads share nothing."""
    return value.transpose(1, 2)


def pooled_half(place: int) -> View:
    """Keys or values of an output of attention pooling that has both."""
    return lambda value, cfg: pooled_heads(value.chunk(2, -1)[place], cfg)


def one_token(value: Tensor, cfg: Any) -> Tensor:
    """`[batch width]` to `[batch 1 width]`."""
    return value[:, None] if value.ndim == 2 else value[:, :1]


def normalized_last(value: Tensor, cfg: Any) -> Tensor | None:
    """The last norm, where source and ours apply it to the same: to all tokens, or behind pooling.

    A source that pools first and normalizes what it reads shows less than our tokens.
    """
    if value.ndim == 2:
        return None if cfg.pooling.normalizes_tokens else value[:, None]
    return value


def _repeated(value: Tensor, n_heads: int) -> Tensor:
    return value.repeat_interleave(n_heads // value.shape[2], 2)
