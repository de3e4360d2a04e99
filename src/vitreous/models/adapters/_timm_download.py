"""Pretrained weights through timm, without its minutes of retries where there is no network."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from vitreous._errors import WeightsError
from vitreous._optional import needs
from vitreous.models.adapters._network import (
    answers,
    hub_offline,
    not_cached,
    not_downloaded,
)
from vitreous.models.adapters._options import LoadOptions


def download(
    timm: ModuleType, name: str, about: dict[str, Any], options: LoadOptions
) -> tuple[nn.Module, str]:
    """The model with its pretrained weights, from timm's cache or its hub.

    Args:
        timm: The library.
        name: As timm knows it.
        about: The model's `pretrained_cfg`.
        options: Revision, cache, image size, and whether anything may be downloaded.

    Returns:
        The model, and where its weights come from.

    Raises:
        WeightsError: There are none, or they can't be had within seconds.
    """
    repository, url = about.get("hf_hub_id") or "", about.get("url") or ""
    if not (repository or url):
        raise WeightsError(
            f"`{name}` must have pretrained weights; timm has none for it. "
            f"{_file_instead(name)}, or convert a module of your own with `vt.from_module`."
        )
    if options.revision is not None and not repository:
        raise ValueError(
            f"`revision` must be left out for weights that lie in no repository; got "
            f"{options.revision!r} for `{name}`. Leave it out."
        )
    hub = needs("huggingface_hub", extra="timm", feature='load("timm:...")')
    unwanted = hub.constants.HF_HUB_OFFLINE or options.local_files_only
    offline = unwanted or not answers(hub.constants.ENDPOINT if repository else url)
    if offline and not _is_cached(hub, repository, url, options):
        why = "downloads are switched off" if unwanted else "its host can't be reached"
        cache = _cache(hub, repository, options)
        raise not_cached(f"timm:{name}", why, cache, _file_instead(name))
    try:
        with hub_offline(hub, offline):
            made = timm.create_model(name, pretrained=True, **_keywords(repository, options))
            return made, _source(repository, options) or url
    except Exception as error:  # of the hub, its HTTP library, torch, or the file system
        raise not_downloaded(
            f"timm:{name}", error, _file_instead(name), hub=hub, repository=repository
        ) from error


def _keywords(repository: str, options: LoadOptions) -> dict[str, Any]:
    """What `create_model` is asked for beside the name."""
    keywords: dict[str, Any] = {}
    if options.revision is not None:
        keywords["pretrained_cfg_overlay"] = {"hf_hub_id": _source(repository, options)}
    if options.cache_dir is not None:
        keywords["cache_dir"] = str(options.cache_dir)
    if options.image_size is not None:
        keywords["img_size"] = options.image_size
    return keywords


def _source(repository: str, options: LoadOptions) -> str:
    return f"{repository}@{options.revision}" if options.revision is not None else repository


def _file_instead(name: str) -> str:
    return f'Pass a file: `load("timm:{name}", weights="FILE.safetensors")`'


def _cache(hub: ModuleType, repository: str, options: LoadOptions) -> Path:
    """Where weights lie, of a repository or of a plain address."""
    kept = hub.constants.HF_HUB_CACHE if repository else Path(torch.hub.get_dir()) / "checkpoints"
    return options.cache_dir or Path(kept)


def _is_cached(hub: ModuleType, repository: str, url: str, options: LoadOptions) -> bool:
    if not repository:
        return (_cache(hub, repository, options) / url.rpartition("/")[2]).is_file()
    try:
        hub.snapshot_download(
            repository,
            revision=options.revision,
            cache_dir=options.cache_dir,
            local_files_only=True,
        )
    except OSError:
        return False
    return True
