"""Clips as lists of frames, whatever form they come in."""

import os
from typing import Any

import numpy as np
from torch import Tensor

from vitreous._errors import ImageError

_ARRAYS = (np.ndarray, Tensor)


def clips_of(given: Any, n_frames: int) -> list[list[Any]]:
    """One clip or many, as lists of that many pictures.

    Args:
        given: A list of frames, or an array of them (four dimensions); a list of clips, or an
            array of them (five dimensions).
        n_frames: Frames that a model takes.

    Raises:
        ImageError: No clip, or one of another length.
    """
    clips = [_frames(clip) for clip in _listed(given)]
    for clip in clips:
        if len(clip) != n_frames:
            raise ImageError(
                f"A clip must have {n_frames} frames for this model; got {len(clip)}. Choose some, "
                "such as `clip[::2]`."
            )
    return clips


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str | os.PathLike):
        raise ImageError(
            f"A clip must be a list or an array of frames; got the path {os.fspath(given)!r}. Read "
            "the video's frames first."
        )
    if isinstance(given, _ARRAYS):
        return list(given) if given.ndim == 5 else [given]
    if not isinstance(given, list | tuple) or not given:
        raise ImageError(
            f"A clip must be a list or an array of frames; got "
            f"{'an empty list' if given == [] else type(given).__name__}. Pass its frames."
        )
    first = given[0]
    holds_clips = isinstance(first, list | tuple)
    holds_clips |= isinstance(first, _ARRAYS) and first.ndim == 4
    return list(given) if holds_clips else [given]


def _frames(clip: Any) -> list[Any]:
    if isinstance(clip, _ARRAYS) and clip.ndim != 4:
        raise ImageError(
            "A clip in an array must have the form (frames, rows, columns, channels); got "
            f"{'x'.join(map(str, clip.shape))}. Pass several frames."
        )
    return list(clip)
