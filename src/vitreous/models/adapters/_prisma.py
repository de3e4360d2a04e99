"""Checkpoints of ViT-Prisma: a folder with `config.json` and a file of weights.

Two formats are understood, told apart by the configuration: that of Prisma's `HookedViT` (fields
`n_layers`, `d_model` ...), and that of the library before it (`transformer`, `image` ...), in which
its tiny ViTs for ImageNet and dSprites were published.

References:
    Joseph et al., "Prisma: An Open Source Toolkit for Mechanistic Interpretability in Vision and
    Video", 2025. Departs from it: where the source normalizes its output to unit length
    (`normalize_output`), what comes out here is the output before that, and hooks on
    `hook_full_embed` and `hook_ln_final` have an effect.
"""

from pathlib import Path

import torch

from vitreous._errors import UnsupportedModelError, WeightsError
from vitreous.models._saving import read_json
from vitreous.models.adapters import _prisma_first, _prisma_hooked
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions, Weights
from vitreous.models.adapters._parts import filled
from vitreous.models.adapters._weight_files import read_weights

OPTIONS = frozenset({"weights"})

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def load(name: str, options: LoadOptions) -> Loaded:
    """Loads the folder at a path; `weights` is one of its files, where it has many."""
    folder = Path(name)
    about = read_json(folder / "config.json")
    given = options.given(read_weights)
    if given is None:
        file = _only_file(folder)
        given = Weights(read_weights(file), file.name)
    tensors, where = given
    form = _prisma_first if "transformer" in about else _prisma_hooked
    try:
        cfg = form.read_config(about, tensors)
        ours = form.renamed(tensors, cfg)
    except KeyError as error:
        raise WeightsError(
            f"`config.json` and `{where}` in `{folder}` must be those of one Prisma ViT; "
            f"{error} is missing. Pass the file that belongs to it as `weights`."
        ) from error
    except UnsupportedModelError:
        raise
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"`config.json` in `{folder}` must describe a Prisma ViT; got {type(error).__name__} "
            f"({error}). Check the folder."
        ) from error
    place = torch.device("cpu"), options.dtype
    model = filled(cfg, ours, place, f"`{where}`", complete=True)
    model.card["source"] = f"Prisma, {where}"
    return Loaded(model, None)


def _only_file(folder: Path) -> Path:
    files = sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES)
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:4]) + (" ..." if len(files) > 4 else "")
        raise WeightsError(
            f"`{folder}` must have one file of weights; got {names or 'none'}. "
            "Pass the one that is meant as `weights`."
        )
    return files[0]
