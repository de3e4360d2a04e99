"""How fast `Task.batch` draws pictures on one core: a part of `make bench`."""

import os
import statistics
import time
from typing import Any

from benchmarks._results import write
from vitreous.terrarium import TASKS, Task

FLOOR = 400  # pictures a second, so that drawing never holds up a training on two cores
BATCH, ROUNDS = 64, 15
# Drawings are kept once they are made; every kind in all its styles is there by then.
WARM_UP = 1200


def main() -> None:
    use_one_core()
    write("reader", {"Pictures a second on one core, at 96 x 96 pixels": [*map(row, TASKS)]})


def use_one_core() -> None:
    """Leaves one core to this process, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def row(name: str) -> dict[str, Any]:
    task = Task(name, next(iter(TASKS[name].splits)))
    frames = task.scene(0).frames
    task.batch(0, WARM_UP // frames)
    # From all over the split: the first sprites are all small squares.
    speeds = [speed(task, (2 * turn + 1) * len(task) // (2 * ROUNDS)) for turn in range(ROUNDS)]
    low, median, high = statistics.quantiles(speeds, n=4)
    return {
        "task": name,
        "pictures/s": round(median * frames),
        "quartiles": f"{low * frames:.0f} to {high * frames:.0f}",
        "clips/s": round(median) if frames > 1 else "",
        "must be at least": FLOOR,
    }


def speed(task: Task, start: int) -> float:
    """Items of one batch per second of the processor's time, whoever else it works for."""
    began = time.process_time()
    task.batch(start, start + BATCH)
    return BATCH / (time.process_time() - began)


if __name__ == "__main__":
    main()
