"""Where a training tells how it goes."""

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vitreous._errors import unknown
from vitreous._optional import needs
from vitreous._whole import written_whole


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: Steps done.
        epoch: Whole epochs done.
        loss: Averaged over the steps since the last row of the log in this epoch; what `fit`
            returns is averaged over the last epoch, or its last 100 steps. Of cross entropy: in
            nats, on augmented pictures.
        learning_rate: Of the last step.
        seconds: Of training, those before a restart included.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Start:
    """What a log hears first.

    Attributes:
        run: Names the training; the same after a restart.
        n_steps: That the training takes.
        resumed_at: The step from which an earlier training goes on, or None for a new one. Rows
            beyond it will come again.
    """

    run: str
    n_steps: int
    resumed_at: int | None


@runtime_checkable
class Log(Protocol):
    """Anything that follows a training; only the main process has logs."""

    def start(self, start: Start) -> None:
        """Opens it."""

    def write(self, progress: Progress) -> None:
        """Takes a row."""

    def flush(self) -> None:
        """Makes sure that rows so far survive a kill; called before a state is kept."""

    def close(self) -> None:
        """Ends it; called when the training ends, and when it fails."""


class CsvLog:
    """A table of `Progress`, a row every ten steps, each step once however often it was killed."""

    COLUMNS = tuple(each.name for each in fields(Progress))

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, start: Start) -> None:
        rows = [] if start.resumed_at is None else self._rows(start.resumed_at)
        if start.resumed_at is None and self.path.exists():
            raise OSError(f"`{self.path}` must be new; got a file. Choose another path.")
        with written_whole(self.path) as beside, beside.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self.COLUMNS, *rows])
        self.file = self.path.open("a", newline="", buffering=1)  # line by line

    def write(self, progress: Progress) -> None:
        csv.writer(self.file, lineterminator="\n").writerow(asdict(progress).values())

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()

    def _rows(self, last_step: int) -> list[list[str]]:
        """Those of an earlier training that won't come again."""
        text = self.path.read_text() if self.path.exists() else ""
        # A kill may leave the last line torn: without its end, or within a number.
        whole = text[: text.rfind("\n") + 1]
        header, *rows = list(csv.reader(io.StringIO(whole))) or [list(self.COLUMNS)]
        if tuple(header) != self.COLUMNS:
            raise OSError(
                f"`{self.path}` must be the log of a training; got other columns. "
                "Move it away, or choose another path."
            )
        return [row for row in rows if int(row[0]) <= last_step]


class TensorBoardLog:
    """Curves for TensorBoard; what a restart repeats is hidden there."""

    def __init__(self, folder: Path) -> None:
        needs("tensorboard", extra="log", feature="--log tensorboard")
        self.folder = folder

    def start(self, start: Start) -> None:
        from torch.utils.tensorboard import SummaryWriter

        beyond = None if start.resumed_at is None else start.resumed_at + 1
        self.writer = SummaryWriter(str(self.folder), purge_step=beyond)

    def write(self, progress: Progress) -> None:
        for name in ("loss", "learning_rate"):
            self.writer.add_scalar(name, getattr(progress, name), progress.step)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class WandbLog:
    """A run of Weights & Biases, which goes on after a restart."""

    def __init__(self, folder: Path) -> None:
        self.wandb: Any = needs("wandb", extra="log", feature="--log wandb")
        self.folder = folder

    def start(self, start: Start) -> None:
        self.run = self.wandb.init(
            project="vitreous",
            id=start.run,
            name=self.folder.parent.name,
            dir=str(self.folder.parent),
            resume="allow",
        )
        # Rows by our own step: its counter takes no step twice, as after a restart.
        self.run.define_metric("*", step_metric="step")

    def write(self, progress: Progress) -> None:
        self.run.log(asdict(progress))

    def flush(self) -> None:
        """It sends rows by itself."""

    def close(self) -> None:
        self.run.finish()


LOGS: dict[str, Callable[[Path], Log]] = {"tensorboard": TensorBoardLog, "wandb": WandbLog}


def find_log(name: str) -> Callable[[Path], Log]:
    """What makes a log of that kind in a folder.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in LOGS:
        raise unknown("log", name, LOGS, f"There are: {', '.join(LOGS)}.")
    return LOGS[name]
