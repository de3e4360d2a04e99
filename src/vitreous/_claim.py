"""Folders that one process at a time writes to."""

import errno
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Self

from vitreous._whole import unwritable

LOCK = ".lock"
_UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Claim:
    """Keeps other processes out of a folder for the length of a `with` block, which may nest.

    The folder is made where there is none, and removed again if nothing else came into it. A file
    in it is locked by the operating system, which lets go of it when the process ends, in whatever
    way: what a killed one leaves is no obstacle. Processes that it forked have no part in the
    lock, or a worker that outlives it for a moment would keep the next one out.

    Raises:
        OSError: Another process has the folder, or it can't be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handle: int | None = None
        self._depth, self._made_folder = 0, False

    def __enter__(self) -> Self:
        if not self._depth:
            self._made_folder = _made(self.folder)
            self._handle = _locked_file(self.folder)
            _HELD.add(self._handle)
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.end()
            if self._made_folder:
                with suppress(OSError):  # something is in it
                    self.folder.rmdir()

    def end(self) -> None:
        """Lets other processes in before the block ends; what it does after must bear that."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        _HELD.discard(handle)
        if sys.platform == "win32":  # where nobody can remove what somebody has open
            os.close(handle)
            self._remove_lock()
        else:  # where the name may be another's as soon as this one is free
            self._remove_lock()
            os.close(handle)

    def _remove_lock(self) -> None:
        with suppress(OSError):
            (self.folder / LOCK).unlink()


_HELD: set[int] = set()


def _let_go_in_child() -> None:
    for handle in _HELD:
        os.close(handle)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _made(folder: Path) -> bool:
    """Makes the folder; whether there was none."""
    if folder.is_dir():
        return False
    if folder.exists():
        raise NotADirectoryError(f"`{folder}` must be a folder; got a file. Choose another path.")
    if not folder.parent.is_dir():
        raise FileNotFoundError(
            f"`{folder}` must lie in a folder; got no `{folder.parent}`. Create it first."
        )
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return True


def _locked_file(folder: Path) -> int:
    while True:
        try:
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise unwritable(folder, error) from error
        try:
            _lock(handle)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                warnings.warn(
                    f"`{folder}` lies where files can't be locked. Let no other process write to "
                    "it.",
                    stacklevel=4,
                )
                return handle
            os.close(handle)
            raise BlockingIOError(
                f"`{folder}` must be written by one process at a time; got another one at work "
                "there. Wait for it, or choose another path."
            ) from error
        if _is_there(handle, folder / LOCK):
            return handle
        os.close(handle)  # the one before removed this file after it was opened here


def _is_there(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False


def is_remains(path: Path) -> bool:
    """Whether a file is what a killed process left of its claim, or of a file half written."""
    return path.name == LOCK or path.match(".*.part")


def remove_remains(folder: Path) -> None:
    """Removes what a kill left half written in a claimed folder."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)
