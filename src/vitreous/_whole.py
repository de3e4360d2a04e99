"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a file beside `path` to write, and renames it to `path` when all went well.

    On any exception, Ctrl-C included, what was written is removed and `path` is as it was.

    Raises:
        OSError: It couldn't be written; the message names `path` and the system's reason.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from error
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~_umask())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """The same for a folder of files; `folder` must not exist or be empty."""
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield beside
        beside.chmod(0o777 & ~_umask())
        os.replace(beside, folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        # A file in it has said so already, of a path that nobody knows.
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise unwritable(folder, cause) from error
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def unwritable(path: Path, error: OSError) -> OSError:
    """The same kind of error, in one line that names `path`."""
    explained = type(error)(
        f"`{path}` must be writable; got '{error.strerror or error}'. "
        "Choose another path or make room; nothing was left behind."
    )
    explained.errno = error.errno
    return explained


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
