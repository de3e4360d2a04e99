"""Of all processes that want to write to a folder, one does."""

import errno
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from vitreous import _claim
from vitreous._claim import Claim

REFUSAL = r"must be written by one process at a time; got another one at work there\. Wait for it,"


def other_process(folder, then: str) -> subprocess.Popen[str]:
    """A process that has claimed the folder, and then does something."""
    script = f"""
        import os, sys, time
        from pathlib import Path
        from vitreous._claim import Claim
        claim = Claim(Path(sys.argv[1]))
        claim.__enter__()
        {then}
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "claimed\n"
    return process


WAIT = 'print("claimed", flush=True); time.sleep(60)'


def test_a_folder_is_made_and_goes_again_when_nothing_came_into_it(tmp_path):
    with Claim(tmp_path / "run"):
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_or_got_something_stays(tmp_path):
    (tmp_path / "old").mkdir()
    with Claim(tmp_path / "old"), Claim(tmp_path / "new"):
        (tmp_path / "new" / "file").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "new", "old"]


def test_a_claim_may_nest(tmp_path):
    claim = Claim(tmp_path / "run")
    with claim:
        with claim:
            pass
        with pytest.raises(BlockingIOError, match=REFUSAL):
            Claim(tmp_path / "run").__enter__()
    with Claim(tmp_path / "run"):
        pass


def test_another_process_is_kept_out_until_the_first_ends(tmp_path):
    process = other_process(tmp_path, WAIT)
    with pytest.raises(BlockingIOError, match=REFUSAL):
        Claim(tmp_path).__enter__()
    process.kill()
    process.wait()
    assert (tmp_path / ".lock").exists()  # which is no obstacle
    with Claim(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_worker_that_outlives_a_killed_process_keeps_nobody_out(tmp_path):
    process = other_process(
        tmp_path,
        'os.fork() or print(f"claimed\\n{os.getpid()}", flush=True); time.sleep(60)',
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    os.kill(child, 0)  # it lives
    with Claim(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)


def test_who_ends_early_leaves_the_lock_of_the_next_alone(tmp_path):
    first, second = Claim(tmp_path), Claim(tmp_path)
    with first:
        first.end()
        with second:
            first.__exit__()
            with pytest.raises(BlockingIOError, match=REFUSAL):
                Claim(tmp_path).__enter__()
        first.__enter__()


def test_a_lock_that_was_removed_before_it_was_had_is_no_lock(tmp_path, monkeypatch):
    lock, removed = _claim._lock, []

    def late(handle: int) -> None:
        lock(handle)
        if not removed:
            removed.append((tmp_path / ".lock").unlink())

    monkeypatch.setattr(_claim, "_lock", late)
    with Claim(tmp_path), pytest.raises(BlockingIOError, match=REFUSAL):
        Claim(tmp_path).__enter__()


def test_a_place_without_locks_gets_a_warning(tmp_path, monkeypatch):
    def unsupported(handle: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_claim, "_lock", unsupported)
    with pytest.warns(UserWarning, match="lies where files can't be locked"), Claim(tmp_path):
        pass


@pytest.mark.parametrize(
    ("path", "message"),
    [("file", "must be a folder; got a file"), ("no/run", "must lie in a folder; got no `.*no`")],
)
def test_a_folder_that_can_not_be_is_refused(tmp_path, path, message):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=message):
        Claim(tmp_path / path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
