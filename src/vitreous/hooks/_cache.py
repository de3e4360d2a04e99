"""The values of one run: stored little, read in full."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vitreous._errors import HookError
from vitreous._whole import written_whole
from vitreous.hooks._names import HookNames

Read = Callable[[str], Tensor]


@runtime_checkable
class Derivation(Protocol):
    """How a model computes the value at a point from the points just upstream of it."""

    def check_weights(self) -> None:
        """Raises `HookError` when the weights are no longer those of the run."""
        ...

    def inputs(self, name: str, is_stored: Callable[[str], bool]) -> Sequence[str] | None:
        """The points that `name` is computed from; None where no rule exists."""
        ...

    def compute(self, name: str, is_stored: Callable[[str], bool], read: Read) -> Tensor: ...


class ActivationCache(Mapping[str, Tensor]):
    """The activations of one run, by hook name.

    Behaves like a dictionary of the names that the run was asked for, in forward order. Reading a
    name that wasn't stored derives it from the nearest stored or edited point upstream, with the
    model's own code, and keeps it; iterating derives too, and keeps nothing.

    Args:
        values: What the run stored.
        keys: The names that iteration shows.
        names: All names of the model's hook points.
        derivation: How the model derives what isn't stored; None derives nothing.
        has_batch_dim: Whether the first dimension of every value counts images.
    """

    def __init__(
        self,
        values: dict[str, Tensor],
        keys: Sequence[str],
        names: HookNames,
        derivation: Derivation | None = None,
        has_batch_dim: bool = True,
    ) -> None:
        self._values = values
        self._keys = tuple(keys)
        self._names = names
        self._derivation = derivation
        self.has_batch_dim = has_batch_dim
        self.about: dict[str, Any] = {}

    def __getitem__(self, key: object) -> Tensor:
        """The value at a point, by name or shorthand: `cache["pattern", 3]`."""
        name = self._canonical(key)
        if name not in self._values:
            self._values[name] = self._derive(name)
        return self._values[name]

    def __contains__(self, key: object) -> bool:
        try:
            return self._is_readable(self._canonical(key))
        except (KeyError, ValueError):
            return False

    def get(self, key: object, default: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The value at a point; `default` where there is none, or none that could be derived."""
        if key not in self:
            return default
        return self[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def items(self) -> Iterator[tuple[str, Tensor]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Pairs of name and value; what is derived on the way isn't kept."""
        return ((name, self._read_once(name)) for name in self._keys)

    def values(self) -> Iterator[Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The values alone; what is derived on the way isn't kept."""
        return (value for _, value in self.items())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self._keys)} names, {len(self._values)} stored, "
            f"{self.nbytes / 2**20:.1f} MiB)"
        )

    @property
    def nbytes(self) -> int:
        """Bytes held; tensors that share storage count once."""
        storages = {
            value.untyped_storage().data_ptr(): value.untyped_storage().nbytes()
            for value in self._values.values()
        }
        return sum(storages.values())

    @property
    def stored_names(self) -> list[str]:
        """The names whose values are held rather than derived."""
        return list(self._values)

    def to(self, device: torch.device | str) -> Self:
        """Moves every stored value; returns the cache itself.

        What is derived afterwards needs the model on the same device.
        """
        self._values = {name: value.to(device) for name, value in self._values.items()}
        return self

    def remove_batch_dim(self) -> Self:
        """Drops the image dimension of a run on one image; returns the cache itself."""
        if self.has_batch_dim:
            sizes = {len(value) for value in self._values.values()}
            if sizes - {1}:
                raise ValueError(
                    "`remove_batch_dim` needs a run on one image; "
                    f"got a batch of {max(sizes)}. Run the images one by one."
                )
            self._values = {name: value[0] for name, value in self._values.items()}
            self.has_batch_dim = False
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes every name of `keys()` and whatever else is stored, as safetensors.

        The file appears whole or not at all.
        """
        tensors = dict(self.items()) | self._values
        tensors = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
        about = {"keys": self._keys, "has_batch_dim": self.has_batch_dim, **self.describe_run()}
        save_whole(Path(path), tensors, {"cache": json.dumps(about)})

    def describe_run(self) -> dict[str, Any]:
        """What a saved file says of the run beside its values; plain JSON."""
        return self.about

    @staticmethod
    def load(path: str | os.PathLike[str], names: HookNames | None = None) -> "ActivationCache":
        """Reads what `save` wrote. The result derives nothing: the file holds no model.

        `about` is what the file says of the run.
        """
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("cache", "{}"))
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        keys = about.pop("keys", list(values))
        has_batch_dim = about.pop("has_batch_dim", True)
        cache = ActivationCache(values, keys, names or HookNames(list(values)), None, has_batch_dim)
        cache.about = about
        return cache

    def _canonical(self, key: object) -> str:
        if isinstance(key, str) and key in self._values:
            return key
        short = key[0] if isinstance(key, tuple) and key else key
        if not isinstance(short, str) or not short.endswith("_grad"):
            return self._names.one(key)
        short = short.removesuffix("_grad")
        return self._names.one((short, *key[1:]) if isinstance(key, tuple) else short) + "_grad"

    def _is_stored(self, name: str) -> bool:
        return name in self._values

    def _is_readable(self, name: str, known: dict[str, bool] | None = None) -> bool:
        known = {} if known is None else known  # what lies upstream is asked for many times
        if name not in known:
            known[name] = name in self._values or self._has_inputs(name, known)
        return known[name]

    def _has_inputs(self, name: str, known: dict[str, bool]) -> bool:
        inputs = self._derivation.inputs(name, self._is_stored) if self._derivation else None
        return inputs is not None and all(self._is_readable(source, known) for source in inputs)

    def _read_once(self, name: str) -> Tensor:
        return self._values[name] if name in self._values else self._derive(name)

    def _derive(self, name: str) -> Tensor:
        if self._derivation is None or not self._is_readable(name):
            how = "Run with `incl_bwd`" if name.endswith("_grad") else "Name it in `names_filter`"
            raise HookError(
                f"`{name}` must be stored or derive from what is stored; this cache holds "
                f"{self._summary()}. {how}."
            )
        self._derivation.check_weights()
        if self.has_batch_dim:
            return self._compute(name)
        return self._compute_batched(name)[0]

    def _compute(self, name: str) -> Tensor:
        derivation = self._derivation
        assert derivation is not None
        derived: dict[str, Tensor] = {}

        def read(source: str) -> Tensor:
            if source in self._values:
                return self._values[source]
            if source not in derived:
                derived[source] = derivation.compute(source, self._is_stored, read)
            return derived[source]

        with torch.set_grad_enabled(torch.is_grad_enabled() and self._holds_graph()):
            return read(name)

    def _compute_batched(self, name: str) -> Tensor:
        """Derives through a view of this cache that has the image dimension back."""
        values = {stored: value[None] for stored, value in self._values.items()}
        batched = ActivationCache(values, self._keys, self._names, self._derivation)
        return batched._compute(name)

    def _holds_graph(self) -> bool:
        return any(value.requires_grad for value in self._values.values())

    def _summary(self) -> str:
        names = list(self._values)
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def save_whole(path: Path, tensors: dict[str, Tensor], about: dict[str, Any] | None = None) -> None:
    """Writes a safetensors file that appears whole or not at all."""
    with written_whole(path) as beside:
        try:
            safetensors.torch.save_file(tensors, beside, about)
        except safetensors.SafetensorError as error:  # its way to say that the disk is full
            raise OSError(str(error)) from error
