"""What all tests share: how they are run, and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

import tests.shape_checker  # noqa: F401  (looked up by name when `vitreous` is first imported)

IN_CI = os.environ.get("CI") == "true"

# -- Two runs: shapes are checked everywhere but in tests/unchecked ------------------------------

UNCHECKED = Path(__file__).parent / "unchecked"


def shapes_are_checked(config: pytest.Config) -> bool:
    return bool(config.getoption("--jaxtyping-packages"))


def pytest_configure(config: pytest.Config) -> None:
    asked = [Path(config.invocation_params.dir, arg.split("::")[0]) for arg in config.args]
    if shapes_are_checked(config) and any(path.is_relative_to(UNCHECKED) for path in asked):
        raise pytest.UsageError(
            "`tests/unchecked` must run without the shape checker; got a run with it. "
            "Add `--jaxtyping-packages=`."
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == UNCHECKED and shapes_are_checked(config) else None


# -- Hypothesis ---------------------------------------------------------------------------------

hypothesis.settings.register_profile(
    "local", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("local"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


# -- A browser ----------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium: where there is none, the test is skipped, and fails in CI."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        reason = f"a browser test needs one of {', '.join(BROWSERS)} on the PATH"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=[*BROWSER_FLAGS])
        yield started
        started.close()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """A fresh page, which must end its test without an error and without a fetch from outside."""
    complaints: list[str] = []

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"console: {message.text}")

    def note_request(request: Request) -> None:
        if urlsplit(request.url).hostname not in (None, "localhost", "127.0.0.1"):
            complaints.append(f"fetched {request.url}")

    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
    page.on("console", note_console)
    page.on("request", note_request)
    yield page
    page.close()
    assert not complaints, complaints
