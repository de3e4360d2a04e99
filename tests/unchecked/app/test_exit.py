"""How commands end: one line, the right exit code, and no traceback."""

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import typer

from vitreous import _errors
from vitreous.app import _commands, run
from vitreous.data import Preprocessing


@pytest.fixture
def command_that(monkeypatch):
    """Registers a command `work` that runs a function of the test."""

    def register(work):
        app = typer.Typer()
        app.callback()(lambda: None)
        app.command("work")(lambda: work())
        monkeypatch.setattr(_commands, "app", app)

    return register


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [
        _errors.ImageError("`a.png` must be an image."),
        _errors.MissingDependencyError("`load()` needs timm."),
        _errors.UnknownNameError("No class is named 'x'."),
        _errors.UnsupportedModelError("A model with rotary positions isn't covered."),
        _errors.WeightsError("`blocks.0.W` must have shape [3]; got [4]."),
        OSError("`out.html` must be writable."),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_code_2(command_that, capsys, error):
    command_that(raising(error))
    assert run(["work"]) == 2
    assert capsys.readouterr() == ("", f"{error}\n")


def test_an_error_of_the_system_names_its_file(command_that, capsys):
    command_that(raising(FileNotFoundError(2, "No such file or directory", "a.bin")))
    assert run(["work"]) == 2
    assert capsys.readouterr().err == "`a.bin`: No such file or directory.\n"


def test_lines_of_a_message_are_joined(command_that, capsys):
    command_that(raising(_errors.WeightsError("one\n  two")))
    assert run(["work"]) == 2
    assert capsys.readouterr().err == "one two\n"


def test_a_mistake_of_ours_says_so_with_code_1(command_that, capsys):
    command_that(raising(ZeroDivisionError("division by zero")))
    assert run(["work"]) == 1
    line = capsys.readouterr().err
    assert "mistake in Vitreous, not in your input (ZeroDivisionError: division by zero)" in line
    assert line.count("\n") == 1


def test_a_value_error_of_ours_is_one_line_and_code_2(command_that, capsys):
    command_that(lambda: Preprocessing((8, 8), (0.5,), (0.5,), n_channels=2))
    assert run(["work"]) == 2
    assert "`n_channels` must be one of 1, 3; got 2" in capsys.readouterr().err


def test_a_value_error_of_a_library_is_a_mistake_of_ours(command_that, capsys):
    command_that(lambda: np.zeros(3).reshape(2))
    assert run(["work"]) == 1
    assert "ValueError: cannot reshape array" in capsys.readouterr().err


def test_the_debug_variable_shows_where_a_mistake_happened(command_that, capsys, monkeypatch):
    monkeypatch.setenv("VITREOUS_DEBUG", "1")
    command_that(raising(ZeroDivisionError("division by zero")))
    assert run(["work"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_is_code_130(command_that, capsys):
    command_that(interrupt)
    assert run(["work"]) == 130
    assert capsys.readouterr() == ("", "Interrupted; nothing was left behind.\n")


def test_ctrl_c_that_a_library_turned_into_another_error_is_still_ctrl_c(command_that):
    def work():
        try:
            interrupt()
        except KeyboardInterrupt as error:
            raise RuntimeError("a worker died") from error

    command_that(work)
    assert run(["work"]) == 130


def test_the_signal_handler_of_the_caller_comes_back(command_that):
    before = signal.getsignal(signal.SIGINT)
    command_that(interrupt)
    run(["work"])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_warning_is_one_line(command_that, capsys):
    command_that(lambda: warnings.warn("this may\nmatter", stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(["work"]) == 0
    assert capsys.readouterr().err == "Warning: this may matter\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explane"], "No such command 'explane'"),
        (["explain", "--modle", "digits"], "No such option: --modle"),
        (["train"], "A recipe must be named; got none"),
        (["train", "digits", "--seed", "x"], "--seed"),
    ],
)
def test_a_wrong_word_is_one_line_and_code_2(capsys, arguments, message):
    assert run(arguments) == 2
    printed, line = capsys.readouterr()
    assert printed == ""
    assert message in line
    assert line.count("\n") == 1


def test_help_imports_no_torch():
    code = (
        "import sys; from vitreous.app import run; "
        "code = run(['--help']); sys.exit(code or 'torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0
    assert "explain" in ended.stdout


def test_a_terminal_without_emoji_gets_question_marks():
    code = (
        "import sys; sys.argv = ['vitreous', 'work']; import typer; "
        "from vitreous.app import _commands, main; "
        "_commands.app = typer.Typer(); _commands.app.callback()(lambda: None); "
        "_commands.app.command('work')(lambda: print('\N{CAT FACE} cat')); main()"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "? cat\n", "")


def test_the_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("0.")
