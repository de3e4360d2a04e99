"""Whether there is a network, known in seconds: the source libraries retry for minutes."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

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
