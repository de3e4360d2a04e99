"""The files of a model of transformers: in a folder, in the hub's cache, or on the hub."""

import copy
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vitreous._errors import UnknownNameError, WeightsError
from vitreous._optional import needs
from vitreous.data import Preprocessing
from vitreous.models._config import HookedViTConfig
from vitreous.models._saving import read_json
from vitreous.models._text_config import HookedTextConfig
from vitreous.models.adapters._network import answers, not_cached, not_downloaded
from vitreous.models.adapters._options import LoadOptions
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._transformers_images import at_size, preprocessing_of
from vitreous.models.adapters._transformers_tokenizer import TransformersTokenizer, tokenizer_of
from vitreous.models.adapters._weight_files import read_weights

_INDEX = "model.safetensors.index.json"
_WEIGHTS = ("model.safetensors", _INDEX, "pytorch_model.bin")
# The files that say how inputs are prepared, and what reads them.
_PROCESSORS = {
    "preprocessor_config.json": "AutoImageProcessor",
    "processor_config.json": "AutoImageProcessor",
    "video_preprocessor_config.json": "AutoVideoProcessor",
}
_TOKENIZERS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "spiece.model"),
)


@dataclass(frozen=True)
class InMemory:
    """A configuration that lies in no file, and nothing else."""

    about: Any
    source: str = "the state dict"

    def config(self, known: frozenset[str]) -> Any:
        """A copy of the configuration, of one of the known types of models.

        Raises:
            UnsupportedModelError: It is of another type.
        """
        model_type = getattr(self.about, "model_type", None)
        if model_type not in known:
            raise unsupported(
                f"`model_type` of a configuration must be one of {', '.join(sorted(known))}; got "
                f"{model_type!r}"
            )
        return copy.deepcopy(self.about)

    def preprocessing(
        self, cfg: HookedViTConfig, image_size: tuple[int, int] | None = None
    ) -> None:
        """Not known."""

    def tokenizer(self, cfg: HookedTextConfig) -> None:
        """Not known."""


@dataclass(frozen=True)
class Repository:
    """A model's files, all on this machine.

    Attributes:
        folder: Where `config.json` lies, and what prepares images, where that is on record.
        weights: The files of weights.
        source: What a message calls it.
        get: Gives another file of that name; None where there is none.
    """

    folder: Path
    weights: tuple[Path, ...]
    source: str
    get: "_Get"

    def config(self, known: frozenset[str]) -> Any:
        """The configuration, of one of the known types of models.

        Raises:
            UnsupportedModelError: It is of another type.
        """
        model_type = read_json(self.folder / "config.json").get("model_type")
        if model_type not in known:
            raise unsupported(
                f"`model_type` in the config.json of {self.source} must be one of "
                f"{', '.join(sorted(known))}; got {model_type!r}"
            )
        auto = needs("transformers", extra="hf", feature='load("hf:...")').AutoConfig
        try:
            return auto.from_pretrained(self.folder, local_files_only=True)
        except Exception as error:  # of its checks, of which it has its own classes
            raise WeightsError(
                f"`config.json` of {self.source} must describe a `{model_type}`; transformers "
                f"can't read it ({_first_line(error)}). Download or save it again."
            ) from error

    def read_weights(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for path in self.weights:
            tensors |= read_weights(path)
        return tensors

    def preprocessing(
        self, cfg: HookedViTConfig, image_size: tuple[int, int] | None = None
    ) -> Preprocessing | None:
        """What the image processor on record does; None, with a warning, where ours can't.

        With `image_size` it does it at that size, whatever the record says.
        """
        there = [kind for name, kind in _PROCESSORS.items() if (self.folder / name).is_file()]
        if not there:
            return None
        auto = getattr(needs("transformers", extra="hf", feature='load("hf:...")'), there[0])
        try:
            processor = auto.from_pretrained(self.folder, local_files_only=True)
            if image_size is not None:
                processor = at_size(processor, image_size)
            return preprocessing_of(processor, cfg)
        except Exception as error:
            warnings.warn(
                f"The image processor of {self.source} can't be used ({_first_line(error)}). Set "
                "`model.preprocessing = vt.data.Preprocessing(...)`.",
                stacklevel=2,
            )
            return None

    def tokenizer(self, cfg: HookedTextConfig) -> TransformersTokenizer | None:
        """The tokenizer on record; None, with a warning, where it can't be used."""
        if not [name for name in _TOKENIZERS if self.get(name) is not None]:
            return None
        auto = needs("transformers", extra="hf", feature='load("hf:...")').AutoTokenizer
        try:
            return tokenizer_of(auto.from_pretrained(self.folder, local_files_only=True), cfg)
        except Exception as error:
            warnings.warn(
                f"The tokenizer of {self.source} can't be used ({_first_line(error)}). Pass token "
                "ids, or set `model.tokenizer`.",
                stacklevel=2,
            )
            return None


# Where a configuration and what belongs to it come from.
Files = Repository | InMemory


def repository(name: str, options: LoadOptions) -> Repository:
    """The files that a name stands for, downloaded where need be.

    Raises:
        UnknownNameError: No such folder, and no such repository.
        WeightsError: A file is missing or can't be had.
    """
    weights = options.weights
    if Path(name).is_dir():
        get, source = _in_folder(Path(name)), f"`{name}`"
    elif weights is not None and (weights.parent / "config.json").is_file():
        get, source = _in_folder(weights.parent), f"`{weights}`"
    else:
        get, source = _on_hub(name, options), f"`{name}`"
    config = get("config.json")
    if config is None:
        raise WeightsError(
            f"{source} must hold a `config.json`; got none. Pass what transformers' "
            "`save_pretrained` wrote."
        )
    for processor in _PROCESSORS:
        get(processor)
    if options.tensors is not None:
        return Repository(config.parent, (), "the state dict", get)
    if weights is not None:
        return Repository(config.parent, (weights,), f"`{weights.name}`", get)
    return Repository(config.parent, _weight_files(get, source), source, get)


_Get = Callable[[str], Path | None]


def _weight_files(get: _Get, source: str) -> tuple[Path, ...]:
    for name in _WEIGHTS:
        path = get(name)
        if path is None:
            continue
        if name != _INDEX:
            return (path,)
        shards = [get(shard) for shard in sorted(set(_weight_map(path).values()))]
        if None not in shards:
            return tuple(shard for shard in shards if shard is not None)
        raise WeightsError(
            f"{source} must hold every file that `{_INDEX}` names; got {len(shards)} names and "
            f"{sum(s is not None for s in shards)} files. Download it again."
        )
    raise WeightsError(
        f"{source} must hold {' or '.join(f'`{name}`' for name in _WEIGHTS)}; got none of them. "
        'Pass a file: `weights="FILE.safetensors"`.'
    )


def _weight_map(path: Path) -> dict[str, str]:
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict):
        raise WeightsError(
            f"`{path.name}` must have a `weight_map`; got {json.dumps(weight_map)[:40]}. Download "
            "it again."
        )
    return weight_map


def _in_folder(folder: Path) -> _Get:
    return lambda name: folder / name if (folder / name).is_file() else None


def _on_hub(name: str, options: LoadOptions) -> _Get:
    hub = needs("huggingface_hub", extra="hf", feature='load("hf:...")')
    offline = (
        options.local_files_only
        or hub.constants.HF_HUB_OFFLINE
        or not answers(hub.constants.ENDPOINT)
    )

    def get(file: str) -> Path | None:
        try:
            return Path(
                hub.hf_hub_download(
                    name,
                    file,
                    revision=options.revision,
                    cache_dir=options.cache_dir,
                    local_files_only=offline,
                )
            )
        except hub.errors.EntryNotFoundError as error:
            # Of the cache, a repository without that file and a file that isn't there look alike.
            if offline and file in ("config.json", _WEIGHTS[-1]):
                raise _not_cached(name, options, hub) from error
            return None
        except Exception as error:  # of the hub, its HTTP library or the file system
            raise _refusal(name, options, hub, error) from error

    return get


# What to do without the hub.
_INSTEAD = (
    'Pass a folder, `load("hf:FOLDER")`, or a file beside its config.json, '
    '`weights="FOLDER/model.safetensors"`'
)


def _not_cached(name: str, options: LoadOptions, hub: Any) -> WeightsError:
    why = "`local_files_only` is set" if options.local_files_only else "the hub can't be reached"
    return not_cached(name, why, options.cache_dir or hub.constants.HF_HUB_CACHE, _INSTEAD)


def _refusal(name: str, options: LoadOptions, hub: Any, error: Exception) -> Exception:
    errors = hub.errors
    if isinstance(error, errors.GatedRepoError):  # which is a repository that wasn't found, too
        return not_downloaded(name, error, _INSTEAD, hub=hub, repository=name)
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownNameError(
            f"No revision of `{name}` is named {options.revision!r}. Pass a branch, tag or commit."
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return UnknownNameError(
            f"No folder and no open repository on the hub is named {name!r}. Pass "
            "ORGANIZATION/NAME, or run `hf auth login` for a private one."
        )
    return not_downloaded(name, error, _INSTEAD, hub=hub, repository=name)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
