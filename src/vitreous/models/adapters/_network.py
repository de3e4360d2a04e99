"""Whether there is a network, known in seconds: the source libraries retry for minutes.

And what is said where weights can't be had.
"""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from vitreous._errors import WeightsError

_PATIENCE = 5.0


def answers(url: str) -> bool:
    """Whether the host of `url` says anything at all within a few seconds."""
    heard: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=_PATIENCE).close()
            heard.append(True)
        except urllib.error.HTTPError:
            heard.append(True)  # a host that refuses is a host
        except (OSError, ValueError):
            heard.append(False)

    # Name resolution knows no timeout; a thread can be left behind.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return heard == [True]


@contextmanager
def hub_offline(hub: ModuleType, offline: bool) -> Iterator[None]:
    """Has `huggingface_hub` look into its cache alone."""
    before = hub.constants.HF_HUB_OFFLINE
    hub.constants.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        hub.constants.HF_HUB_OFFLINE = before


def not_cached(name: str, why: str, cache: Path | str, instead: str) -> WeightsError:
    """For weights that are not on this machine, and can't be downloaded.

    Args:
        name: As it was asked for.
        why: Why they can't.
        cache: Where they would lie.
        instead: What to pass, as the beginning of a sentence.
    """
    return WeightsError(
        f"`{name}` must be downloaded once; {why}, and it isn't in the cache `{cache}`. {instead}, "
        "or connect to the network."
    )


def not_downloaded(
    name: str,
    error: BaseException,
    instead: str,
    *,
    hub: ModuleType | None = None,
    repository: str = "",
) -> WeightsError:
    """For a download that failed, in one line; it says where a repository is gated.

    Args:
        name: As it was asked for.
        error: What was raised, maybe by a library because of another error.
        instead: What to pass, as the beginning of a sentence.
        hub: `huggingface_hub`, where it was asked.
        repository: Where the weights lie there.
    """
    kinds = () if hub is None else (hub.errors.GatedRepoError,)
    if any(isinstance(each, kinds) for each in _causes(error)):
        return WeightsError(
            f"`{name}` must be open to you; it is gated. Accept its terms at "
            f"https://huggingface.co/{repository} and run `hf auth login`. {instead}."
        )
    reason = (str(error).splitlines() or [""])[0]
    return WeightsError(
        f"`{name}` must be downloaded whole; got {type(error).__name__} ({reason}). {instead}, or "
        "try again."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
