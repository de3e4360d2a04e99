"""One wording for all errors, and the few classes worth catching.

A message is one line: what must hold; what came. What to do about it.
"""

import difflib
from collections.abc import Iterable


class UnknownNameError(KeyError):
    """A name that nothing has: a hook point, a class, a model, a component."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would put quotes around a sentence.
        return str(self.args[0]) if self.args else ""


class HookError(RuntimeError):
    """A hook that can't do what it was asked for: it never fired, or contradicts another."""


class UnsupportedModelError(ValueError):
    """A model with a feature that `HookedViT` doesn't have; the message names the feature."""


class ImageError(ValueError):
    """A file or array that can't be read as an image."""


class WeightsError(ValueError):
    """Weights that are missing, unreadable or of another shape; the message names the tensor."""


class MissingDependencyError(ImportError):
    """An optional library that isn't installed; the message names the extra that brings it."""


def nearest(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """The `count` candidates that look most like `name`, best first; empty when none does.

    A candidate is judged by its last part as well: `hook_patern` is near
    `blocks.0.attn.hook_pattern`.
    """
    wanted = name.lower()

    def likeness(candidate: str) -> float:
        text = candidate.lower()
        parts = {text, text.rsplit(".", 1)[-1]}
        return max(difflib.SequenceMatcher(None, wanted, part).ratio() for part in parts)

    ranked = sorted(((likeness(c), -i, c) for i, c in enumerate(candidates)), reverse=True)
    return [candidate for score, _, candidate in ranked[:count] if score >= 0.5]


def unknown(
    kind: str,
    name: object,
    candidates: Iterable[str],
    hint: str = "",
    *,
    looks_like: str | None = None,
) -> UnknownNameError:
    """Builds the error for a name that nothing has, with the nearest names that something has.

    `looks_like` is what to compare with the candidates, where that isn't `name` itself.
    """
    message = f"No {kind} is named {name!r}."
    close = nearest(looks_like or str(name), candidates)
    if close:
        message += f" Nearest: {', '.join(close)}."
    return UnknownNameError(f"{message} {hint}".rstrip())
