"""What a run that doesn't fit into memory says."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# What torch says on the CPU, where it has no error of its own for it.
_CPU_SAYS = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


@contextmanager
def within_memory(rows: int, argument: str = "max_batch") -> Iterator[None]:
    """Turns an out-of-memory error into one line that says which batch to use.

    Args:
        rows: How many images run at once inside.
        argument: What the user sets to run fewer.

    Raises:
        MemoryError: The rows didn't fit.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_about_memory(error):
            raise
        advice = f"Use `{argument}={rows // 2}`." if rows > 1 else "Use a smaller model or image."
        raise MemoryError(
            f"`{argument}` must fit into memory; got {rows} images at once, which don't. {advice}"
        ) from error


def _is_about_memory(error: RuntimeError) -> bool:
    is_accelerators = isinstance(error, torch.OutOfMemoryError)
    return is_accelerators or any(words in str(error) for words in _CPU_SAYS)
