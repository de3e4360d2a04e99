"""Folders that other libraries wrote."""

from pathlib import Path

from vitreous.models._saving import read_json

# What a library's configuration has, in the file of that name, and what its names begin with.
_MARKS = {
    "hf:": ("config.json", ("model_type",)),
    "timm:local-dir:": ("config.json", ("architecture", "pretrained_cfg")),
    "open_clip:local-dir:": ("open_clip_config.json", ("model_cfg",)),
    "prisma:": ("config.json", ("n_layers", "d_model", "patch_size")),
}


def writer_of(folder: Path) -> str | None:
    """The name that loads a folder of another library; None where none is known to have written it.

    Seen by what its configuration has. Our own says its `format`.
    """
    for prefix, (file, marks) in _MARKS.items():
        about = read_json(folder / file) if (folder / file).is_file() else {}
        if "format" not in about and all(mark in about for mark in marks):
            return f"{prefix}{folder}"
    return None
