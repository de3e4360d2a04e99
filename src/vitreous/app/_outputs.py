"""Where a command may write, found out before it works for minutes."""

import os
import tempfile
from pathlib import Path


def writable_file(path: Path) -> Path:
    """The file itself, behind links, if it can be written there.

    Raises:
        OSError: The folder is missing or closed, or something that is no file stands there.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device"
        raise OSError(f"`{path}` must be a file to write; got {kind}. Choose another path.")
    target = path.resolve()
    _try_writing(path, target.parent)
    return target


def _try_writing(path: Path, folder: Path) -> None:
    if not folder.is_dir():
        raise OSError(f"`{path}` must lie in a folder; got no `{folder}`. Create it first.")
    if path.exists() and path.is_file() and not os.access(path, os.W_OK):
        raise OSError(f"`{path}` must be writable; got a closed file. Choose another path.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"`{path}` must be writable; got '{error.strerror}'. Choose another path."
        ) from error
