"""What is asked of outputs: class names, indices, groups, lists, vectors or a function."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import ClassNames
from vitreous.models._target import Target, require_own

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer


@runtime_checkable
class Outputs(Protocol):
    """What has outputs, and perhaps names for them."""

    labels: ClassNames | None

    @property
    def n_outputs(self) -> int: ...


class Question(NamedTuple):
    """What was asked of some outputs: weights on them, or a function of them."""

    name: str
    coefficients: Float[Tensor, "batch labels"] | None = None
    function: Callable[[Tensor], Tensor] | None = None


def make_target(model: "GlassTransformer", what: Any, minus: Any, name: str | None) -> Target:
    """Builds a target from class names, indices, groups, lists, vectors or a function."""
    if isinstance(what, Target) and minus is None:
        require_own(what, model)
        return what if name is None else replace(what, name=name)
    asked = question(model, what, minus, name)
    return Target(asked.name, model, asked.coefficients, asked.function)


def question(outputs: Outputs, what: Any, minus: Any, name: str | None) -> Question:
    """The same for anything that has outputs."""
    if minus is None and _is_metric(what):
        return Question(name or getattr(what, "__name__", "metric"), function=what)
    plus, title = _coefficients_of(outputs, what)
    if minus is not None:
        less, other = _coefficients_of(outputs, minus)
        plus, less = _of_one_length([plus, less])
        plus, title = plus - less, f"{title} - {other}"
    return Question(name or title, plus)


def _coefficients_of(model: Outputs, what: Any) -> tuple[Tensor, str]:
    """Weights on the outputs, `[1 or images, outputs]`, and what to call them."""
    if _is_metric(what) or (isinstance(what, Target) and what.function is not None):
        raise ValueError(
            f"A function must be the whole target; got {getattr(what, '__name__', what)!r} beside "
            "another. Combine them inside of the function."
        )
    if isinstance(what, Target):
        require_own(what, model)
        return what.on_outputs(), what.name
    if isinstance(what, np.ndarray | np.generic):
        what = torch.as_tensor(what)
    if isinstance(what, Tensor) and what.is_floating_point():
        return _vector(model, what), "vector"
    if isinstance(what, Tensor):
        what = what.tolist()
    if isinstance(what, list):
        return _one_per_image([_coefficients_of(model, each) for each in what])
    if isinstance(what, tuple):
        return _group([_coefficients_of(model, each) for each in what])
    index = _class_index(model, what)
    weights = torch.zeros(1, model.n_outputs, dtype=torch.float64)
    weights[0, index] = 1
    return weights, model.labels[index] if model.labels is not None else f"class {index}"


def _is_metric(what: Any) -> bool:
    return callable(what) and not isinstance(what, Tensor | Target)


def _one_per_image(parts: list[tuple[Tensor, str]]) -> tuple[Tensor, str]:
    if not parts:
        raise ValueError(
            "A list of targets must have one per image; got an empty list. Pass one per image."
        )
    if any(len(weights) != 1 for weights, _ in parts):
        raise ValueError(
            "A list of targets must have one per image; got a list within it. "
            "Pass a tuple for a group of classes."
        )
    names = [name for _, name in parts]
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return torch.cat([weights for weights, _ in parts]), f"[{few}]"


def _group(parts: list[tuple[Tensor, str]]) -> tuple[Tensor, str]:
    if not parts:
        raise ValueError("A group of classes must have a member; got an empty tuple. Pass a class.")
    names = " + ".join(name for _, name in parts)
    return torch.stack(_of_one_length([weights for weights, _ in parts])).mean(0), f"mean({names})"


def _of_one_length(parts: list[Tensor]) -> list[Tensor]:
    """Lists of targets side by side; what is the same for all images is repeated."""
    lengths = sorted({len(weights) for weights in parts} - {1})
    if len(lengths) > 1:
        raise ValueError(
            f"Lists of targets must have one per image; got {lengths[0]} and {lengths[1]}. "
            "Make them equally long."
        )
    return list(torch.broadcast_tensors(*parts))


def _class_index(model: Outputs, what: Any) -> int:
    n = model.n_outputs
    if isinstance(what, str):
        if model.labels is None:
            raise ValueError(
                f"A class name needs a model with `labels`; got {what!r} and a model without. "
                f"Pass an index in 0..{n - 1}, or set `model.labels`."
            )
        if len(model.labels) != n:
            raise ValueError(
                f"`labels` must name every output; got {len(model.labels)} names for {n} outputs. "
                "Set `model.labels` anew, or pass an index."
            )
        return model.labels.find(what)
    if isinstance(what, bool) or not isinstance(what, int):
        raise TypeError(
            f"A target must be a class name, an index, a tuple, a list, a vector or a function; "
            f"got {type(what).__name__}. Pass one of them."
        )
    if not 0 <= what < n:
        raise ValueError(
            f"A class must lie in 0..{n - 1}; got {what}. Pass indices of this model's head."
        )
    return what


def _vector(model: Outputs, vector: Tensor) -> Tensor:
    if vector.ndim not in (1, 2) or vector.shape[-1] != model.n_outputs:
        raise ValueError(
            f"A vector as target must have one entry per output, {model.n_outputs}; got shape "
            f"{list(vector.shape)}. Pass a combination of this model's outputs."
        )
    return vector.detach().double().clone().reshape(-1, vector.shape[-1])
