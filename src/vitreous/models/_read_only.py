"""Tensors that refuse to be written to, because nobody would see it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vitreous._errors import HookError

_WRITING_OPERATORS = frozenset(
    f"__{name}__"
    for name in (
        "set setitem delitem iadd isub imul imatmul itruediv ifloordiv imod ipow iand ior ixor "
        "ilshift irshift"
    ).split()
)


class ReadOnly(Tensor):
    """A tensor made for reading, such as a stack of all layers' weights: a copy, not the model.

    It takes part in any computation, gradients included, and results are plain tensors. What is
    written to it in place, or to a view of it, would be lost, so that raises.
    """

    why: str

    @classmethod
    def of(cls, value: Tensor, why: str) -> "ReadOnly":
        """`value` as one that says `why` when it is written to."""
        read_only = value.as_subclass(cls)
        read_only.why = why
        return read_only

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        kwargs = kwargs or {}
        for written in _written(func, args, kwargs):
            raise HookError(written.why)
        sources = [each for each in args if isinstance(each, ReadOnly)]
        with torch._C.DisableTorchFunctionSubclass():
            returned = func(*args, **kwargs)
            is_base = getattr(func, "__self__", None) is Tensor._base  # where compilers walk to
            return returned if is_base else _views_marked(returned, sources)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        del memo
        return self.clone()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        array = super().__array__(*args, **kwargs)
        array.flags.writeable = False
        return array

    def numpy(self, *, force: bool = False) -> Any:
        """As an array that can't be written to either."""
        array = super().numpy(force=force)
        array.flags.writeable = False
        return array


def _written(
    func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> list[ReadOnly]:
    """What a torch function changes in place, of those that mustn't be."""
    name = getattr(func, "__name__", "")
    in_place = name in _WRITING_OPERATORS or (name.endswith("_") and not name.endswith("__"))
    changed = [kwargs.get("out")]
    if in_place or kwargs.get("inplace"):
        changed += args[:1] or [kwargs.get(each) for each in ("input", "tensor")]
    flat = [each for group in changed for each in _listed(group)]
    return [each for each in flat if isinstance(each, ReadOnly)]


def _views_marked(returned: Any, sources: Sequence[ReadOnly]) -> Any:
    """Makes read-only what looks at the memory of something that is."""
    if type(returned) in (tuple, list):
        return type(returned)(_views_marked(each, sources) for each in returned)
    if not isinstance(returned, Tensor) or isinstance(returned, ReadOnly):
        return returned
    source = next((each for each in sources if share_memory(returned, each)), None)
    return returned if source is None else ReadOnly.of(returned, source.why)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else [value]


def share_memory(one: Tensor, other: Tensor) -> bool:
    """Whether both look at the same memory, so that what is written to one shows in the other."""
    return one.untyped_storage()._cdata == other.untyped_storage()._cdata


def no_bias(name: str, weight: Tensor, shape: tuple[int, ...], switch: str) -> ReadOnly:
    """The zeros that stand for a bias which a model doesn't have.

    Args:
        name: How a user would call it.
        weight: Of the same layer.
        shape: Of the bias.
        switch: What in a configuration would make one.
    """
    return ReadOnly.of(
        weight.new_zeros(()).expand(shape),
        f"`{name}` must be there to be written to; this model has no such bias. "
        f"Build one with `{switch}` in its configuration.",
    )


def scaled(name: str, product: Tensor, weight: str) -> ReadOnly:
    """The product of a weight with a LayerScale gain."""
    return ReadOnly.of(
        product,
        f"`{name}` must be a parameter to be written to; here it is one times a LayerScale gain. "
        f"Write to `{weight}` or `gain`, or take `fold_layer_scale(model)`.",
    )
