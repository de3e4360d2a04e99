"""Reading numbers off a page."""

from pathlib import Path

from playwright.sync_api import Locator
from playwright.sync_api import Page as Browser

from vitreous.view import Page

# Under the page's content policy no string is evaluated, so tests wait for selectors only.
UNREADY = "[data-payload]:not([data-ready])"


def open_page(browser: Browser, page: Page, folder: Path) -> None:
    path = page.save(folder / "page.html")
    browser.goto(path.as_uri())
    browser.wait_for_selector(UNREADY, state="detached")


def number(text: str) -> float:
    """The number that a reader sees; understands a true minus sign."""
    return float(text.replace("−", "-").replace("+", "").strip())


def next_frame(browser: Browser) -> None:
    """Waits until what was scheduled is drawn."""
    browser.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def point_at(viewer: Locator, row: int, column: int, rows: int, columns: int) -> None:
    """Moves the cursor to the middle of a patch."""
    picture = viewer.locator(".patch-picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    x, y = box["width"] * (column + 0.5) / columns, box["height"] * (row + 0.5) / rows
    picture.hover(position={"x": x, "y": y})
    next_frame(viewer.page)


def pixels(viewer: Locator, layer: str = ".paint") -> list[int]:
    """The bytes of one of a picture's canvases."""
    return viewer.locator(f".patch-picture {layer}").evaluate(
        "(c) => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
