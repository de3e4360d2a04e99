"""Ratios that hold on a noisy machine: interleaved runs in one process, pair by pair."""

import gc
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """Times of two pieces of work that ran in turn.

    Attributes:
        ratio: Median over rounds of (ours / theirs).
        spread: Lower and upper quartile of that.
        ours: Median seconds.
        theirs: Median seconds.
    """

    ratio: float
    spread: tuple[float, float]
    ours: float
    theirs: float

    def row(self, work: str, against: str, most: float | None = None) -> dict[str, Any]:
        """As a line of a table, where `against` names the other piece of work."""
        low, high = self.spread
        return {
            "work": work,
            "ratio": round(self.ratio, 3),
            "quartiles": f"{low:.3f} to {high:.3f}",
            "ours": f"{self.ours * 1e3:.0f} ms",
            against: f"{self.theirs * 1e3:.0f} ms",
            "must be at most": "" if most is None else most,
        }


def compare(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Runs both in turn, the order swapped every round, after two rounds of warm-up.

    `clock` may be `time.process_time`, for work of one thread on a machine that has other work.
    """
    times: list[tuple[float, float]] = []
    for turn in range(-2, rounds):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        took = {work: _seconds(work, clock) for work in order}
        if turn >= 0:
            times.append((took[ours], took[theirs]))
    ratios = [a / b for a, b in times]
    low, _, high = statistics.quantiles(ratios, n=4)
    medians = (statistics.median(each) for each in zip(*times, strict=True))
    return Comparison(statistics.median(ratios), (low, high), *medians)


def process_seconds(command: list[str], rounds: int) -> float:
    """Median wall seconds of a command as a whole process, after one warm-up."""

    def run() -> object:
        return subprocess.run(command, check=True, capture_output=True)

    run()
    return statistics.median(_seconds(run) for _ in range(rounds))


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    gc.collect()
    start = clock()
    result = work()
    seconds = clock() - start
    del result
    return seconds
