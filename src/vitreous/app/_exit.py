"""How a command ends: every error becomes one line and an exit code."""

import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from vitreous._errors import (
    ImageError,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedModelError,
    WeightsError,
)

DONE, BUG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

# What a user can mend. Any other exception, but for a ValueError of ours, is a mistake of ours.
_USER_ERRORS = (
    ImageError,
    MissingDependencyError,
    OSError,
    UnknownNameError,
    UnsupportedModelError,
    WeightsError,
)


class Resumable(Exception):
    """What Ctrl-C becomes where it leaves something to go on with; it says so."""


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has emoji
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command.

    Args:
        arguments: The words after `vitreous`.

    Returns:
        0, or 2 for input that the user can mend, 130 for Ctrl-C, 1 for a mistake of ours. In the
        last case the environment variable `VITREOUS_DEBUG` shows the traceback.
    """
    interrupted = _Interrupted()
    with interrupted, warnings.catch_warnings():
        warnings.showwarning = _say_warning
        return _ended_well(lambda: _command_line(arguments), interrupted)


class _Interrupted:
    """Remembers a Ctrl-C, because libraries may turn it into another exception on its way up."""

    def __init__(self) -> None:
        self.happened = False

    def __enter__(self) -> None:
        self.before = signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        raise KeyboardInterrupt


def _command_line(arguments: Sequence[str]) -> int:
    from vitreous.app._commands import app  # here, so that a Ctrl-C during the import is caught

    ended = app(list(arguments), prog_name="vitreous", standalone_mode=False)
    sys.stdout.flush()
    return ended if isinstance(ended, int) else DONE


def _ended_well(command: Callable[[], int], interrupted: _Interrupted) -> int:
    said = ""
    try:
        code = command()
    except SystemExit:
        raise
    except BaseException as error:
        if not (interrupted.happened or isinstance(error, KeyboardInterrupt)):
            return _explained(error)
        said = str(error) if isinstance(error, Resumable) else ""
    else:
        if not interrupted.happened:
            return code
    return _say(said or "Interrupted; nothing was left behind.", INTERRUPTED)


def _explained(error: BaseException) -> int:
    if os.environ.get("VITREOUS_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, _USER_ERRORS) or _is_our_value_error(error):
        return _say(_line(error), BAD_INPUT)
    # A usage error; where its class stands differs from version to version of typer.
    if callable(format_message := getattr(error, "format_message", None)):
        message = str(format_message())
        if "\n" in message:  # the help, which is asked for by naming no command
            print(message)
            return BAD_INPUT
        return _say(f"{message} `--help` lists what there is.", BAD_INPUT)
    return _say(
        f"This is a mistake in Vitreous, not in your input ({type(error).__name__}: "
        f"{_line(error)}). Set VITREOUS_DEBUG=1 to see where, and please report it.",
        BUG,
    )


def _is_our_value_error(error: BaseException) -> bool:
    # Our own code raises ValueError to say what must hold; one from within a library is a mistake.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = frames[-1].f_globals.get("__name__", "") if frames else ""
    return isinstance(error, ValueError) and name.partition(".")[0] == "vitreous"


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        about = f"`{error.filename}`: " if error.filename else ""
        return f"{about}{error.strerror}."
    return " ".join(str(error).split())


def _say_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    print("Warning:", *str(message).split(), file=sys.stderr)


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code
