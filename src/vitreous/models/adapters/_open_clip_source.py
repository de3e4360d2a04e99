"""Where open_clip finds a model: its own list with tags, a repository of the hub, a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vitreous._errors import WeightsError, unknown
from vitreous._optional import needs
from vitreous.models._saving import read_json
from vitreous.models.adapters._network import (
    answers,
    hub_offline,
    not_cached,
    not_downloaded,
)
from vitreous.models.adapters._options import LoadOptions

_CONFIG = "open_clip_config.json"


@dataclass(frozen=True)
class Source:
    """A model as open_clip describes it.

    Attributes:
        where: What its card says of the weights.
        identifier: What open_clip's own functions know it by.
        model: The `model_cfg` of its configuration.
        preprocessing: How images are prepared, as far as that is on record.
        fetch: Gives the file of weights; downloads it where it must.
    """

    where: str
    identifier: str
    model: dict[str, Any]
    preprocessing: dict[str, Any]
    fetch: Callable[[], Path]

    @property
    def vision(self) -> dict[str, Any]:
        return self.model["vision_cfg"]

    @property
    def text(self) -> dict[str, Any]:
        return self.model.get("text_cfg", {})

    @property
    def embed_dim(self) -> int:
        return self.model["embed_dim"]

    @property
    def quick_gelu(self) -> bool:
        return bool(self.model.get("quick_gelu"))

    @property
    def is_timm(self) -> bool:
        return bool(self.vision.get("timm_model_name"))


def find(name: str, options: LoadOptions) -> Source:
    """Looks a name up, and downloads nothing but a configuration.

    Raises:
        UnknownNameError: open_clip knows no such architecture, or no such tag of it.
        WeightsError: A folder or repository without a configuration, or weights of a tag that
            belong to another activation than the architecture's.
    """
    if name.startswith("hf-hub:"):
        return _from_hub(name.removeprefix("hf-hub:"), options)
    if name.startswith("local-dir:"):
        return _from_folder(Path(name.removeprefix("local-dir:")))
    return _from_list(name, options)


def tower_weights(tensors: dict[str, Tensor], tower: str) -> dict[str, Tensor]:
    """The weights of one tower among those of a whole model, or of a tower alone.

    A whole model has its text tower at `text`, or in pieces beside the image tower.
    """
    images, texts = _below(tensors, "visual."), _below(tensors, "text.")
    if tower == "image":
        return images if images or texts else tensors
    if not images:
        return texts or tensors
    pieces = {name: x for name, x in tensors.items() if name.startswith(_TEXT_PIECES)}
    return texts or pieces


def has_both(tensors: dict[str, Tensor]) -> bool:
    """Whether these are the weights of a whole model."""
    return bool(_below(tensors, "visual.")) and bool(tower_weights(tensors, "text"))


_TEXT_PIECES = (
    "token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection"
)  # fmt: skip


def _below(tensors: dict[str, Tensor], at: str) -> dict[str, Tensor]:
    return {name.removeprefix(at): x for name, x in tensors.items() if name.startswith(at)}


# ---- open_clip's list


def _from_list(name: str, options: LoadOptions) -> Source:
    library = _library("open_clip")
    architecture, _, tag = name.partition("/")
    known = library.list_models()
    if architecture not in known:
        hint = "`open_clip.list_models()` lists all."
        raise unknown("open_clip model", architecture, known, hint)
    model = library.get_model_config(architecture)
    tags = library.list_pretrained_tags_by_model(architecture)
    if tag and not library.pretrained.is_pretrained_cfg(architecture, tag):
        hint = f"Tags of `{architecture}`: {', '.join(tags) or 'none'}."
        raise unknown("open_clip checkpoint", name, [f"{architecture}/{t}" for t in tags], hint)
    if not tag and not options.has_weights:
        raise WeightsError(
            f"`open_clip:{architecture}` must name weights; got none. Pass a tag "
            f"(`open_clip:{architecture}/TAG`, of {', '.join(tags) or 'which there are none'}), or "
            "`weights=FILE`."
        )
    about = library.get_pretrained_cfg(architecture, tag) if tag else {}
    if about.get("quick_gelu") and not model.get("quick_gelu"):
        _refuse_other_activation(name, architecture, tag, known)
    preprocessing = _defaults() | {key: about[key] for key in _RECORD if key in about}
    return Source(
        name, architecture, model, preprocessing, lambda: _download_tag(name, about, options)
    )


_RECORD = ("mean", "std", "interpolation", "resize_mode", "fill_color")


def _defaults() -> dict[str, Any]:
    """What open_clip does to images of a model without a record."""
    default = _library("open_clip.transform").PreprocessCfg()
    return {name: getattr(default, name) for name in _RECORD}


def _refuse_other_activation(name: str, architecture: str, tag: str, known: list[str]) -> None:
    twin = f"{architecture}-quickgelu"
    other = f"`open_clip:{twin}/{tag}`" if twin in known else "an architecture that has QuickGELU"
    raise WeightsError(
        f"The architecture must have the activation that its weights were trained with; got GELU "
        f"in `{architecture}` and QuickGELU in `{tag}`. Load {other}."
    )


def _download_tag(name: str, about: dict[str, Any], options: LoadOptions) -> Path:
    if options.revision is not None:
        raise ValueError(
            f"`revision` must be left out for the tags of open_clip's list; got "
            f"{options.revision!r}. Name the repository: `open_clip:hf-hub:ORG/NAME`."
        )
    url = about.get("url") or ""
    host = _hub().constants.ENDPOINT if about.get("hf_hub") else url
    offline = options.local_files_only or not answers(host)
    repository = (about.get("hf_hub") or "").rstrip("/")
    cache = _cache(options, repository)
    if offline and not repository and not (cache / url.rpartition("/")[2]).is_file():
        raise _not_cached(name, options, repository)
    library = _library("open_clip")

    def download() -> Any:
        return library.download_pretrained(about, cache_dir=options.cache_dir)

    return _fetched(name, repository, download, offline, options)


def _cache(options: LoadOptions, repository: str) -> Path:
    """Where weights lie, of a repository or of a plain address."""
    kept = _hub().constants.HF_HUB_CACHE if repository else "~/.cache/clip"
    return Path(options.cache_dir or kept).expanduser()


# ---- the hub, and folders


def _from_hub(repository: str, options: LoadOptions) -> Source:
    hub = _hub()
    offline = options.local_files_only or not answers(hub.constants.ENDPOINT)

    def download(filename: str | None = None) -> Any:
        return _library("open_clip.pretrained").download_pretrained_from_hf(
            repository, filename, options.revision, options.cache_dir
        )

    name = f"hf-hub:{repository}"

    def fetch() -> Path:
        return _fetched(name, repository, download, offline, options)

    described = _fetched(name, repository, lambda: download(_CONFIG), offline, options)
    return _described(repository, name, described, fetch)


def _from_folder(folder: Path) -> Source:
    def fetch() -> Path:
        found = _library("open_clip.factory")._find_checkpoint_in_dir(folder)
        if found is None:
            raise WeightsError(
                f'`{folder}` must have a file of weights; got none. Pass `weights="FILE"`.'
            )
        return Path(found)

    return _described(folder.name, f"local-dir:{folder}", folder / _CONFIG, fetch)


def _described(where: str, identifier: str, file: Path, fetch: Callable[[], Path]) -> Source:
    about = read_json(file)
    model = about.get("model_cfg", about)
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg"} <= model.keys():
        raise WeightsError(
            f"`{file.name}` of `{where}` must describe an open_clip model, with `embed_dim` and "
            f"`vision_cfg`; got {', '.join(about) or 'nothing'}. Check the name."
        )
    record = about.get("preprocess_cfg") or {}
    known = _defaults() | {k: record[k] for k in _RECORD if k in record}
    return Source(where, identifier, model, known, fetch)


def _fetched(
    name: str, repository: str, download: Callable[[], Any], offline: bool, options: LoadOptions
) -> Path:
    try:
        with hub_offline(_hub(), offline):
            return Path(download())
    except Exception as error:  # of the hub, its HTTP library, or the file system
        if offline:
            raise _not_cached(name, options, repository) from error
        raise not_downloaded(
            f"open_clip:{name}", error, _INSTEAD, hub=_hub(), repository=repository
        ) from error


_INSTEAD = 'Pass `weights="FILE"`'


def _not_cached(name: str, options: LoadOptions, repository: str) -> WeightsError:
    why = "`local_files_only` is set" if options.local_files_only else "its host can't be reached"
    return not_cached(f"open_clip:{name}", why, _cache(options, repository), _INSTEAD)


def _hub() -> Any:
    return needs("huggingface_hub", extra="clip", feature='load("open_clip:...")')


def _library(module: str) -> Any:
    return needs(module, extra="clip", feature='load("open_clip:...")')
