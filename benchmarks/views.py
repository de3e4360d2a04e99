"""How fast attention pages are written and drawn, and how large: a part of `make bench`."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from playwright.sync_api import Browser, sync_playwright

import vitreous as vt
from benchmarks._results import write
from vitreous.view import AttentionGallery, HeadImageMatrix, Page, Picture, Section, TokenMap

MODEL, SIZE = "vit_base_patch16_224", 224
MOVES = 60
# Draws once per move, as a frame does; the clock runs while the viewer's script does.
HOVER = """(viewer, [moves, tokens]) => Array.from({ length: moves }, (_, i) => {
  viewer.point(1 + ((37 * i) % (tokens - 1)));
  const start = performance.now();
  viewer.draw();
  return performance.now() - start;
})"""


def main() -> None:
    torch.manual_seed(0)
    model, pixels = vt.from_module(timm.create_model(MODEL).eval()), random_picture(SIZE)
    scores = attention_scores(model, pixels)
    tokens = TokenMap.of(model.layout)
    gallery = AttentionGallery(Picture.of(pixels), tokens, scores)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        pages = [
            page_row("12 x 12 heads of 197 tokens", gallery, Path(folder), 3.0, 15.0),
            page_row("15 heads of 1025 tokens", large(), Path(folder)),
            page_row("12 x 12 heads on 8 images", images(tokens, scores), Path(folder)),
        ]
        hovers = [
            *hover_rows(browser, "197 tokens", gallery, Path(folder)),
            *hover_rows(browser, "1025 tokens", large(), Path(folder)),
        ]
        browser.close()
        films = [film_row(kind, gallery, Path(folder)) for kind in ("gif", "mp4")]
    tables = {
        "An attention page, from scores in memory to a file": pages,
        f"Script of a hover, the median of {MOVES}, in milliseconds": hovers,
        "A film of one head over 196 queries": films,
    }
    write("views", tables, ("timm", "pillow", "av", "playwright"))


def attention_scores(model: vt.HookedViT, pixels: np.ndarray) -> torch.Tensor:
    _, cache = model.run_with_cache(model.preprocess(pixels))
    return cache.stack_activation("attn_scores")[:, 0].detach()


def random_picture(size: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def large() -> AttentionGallery:
    """As many heads over 32 x 32 patches as a page can hold."""
    names = ["cls", *(f"r{row}c{column}" for row in range(32) for column in range(32))]
    tokens = TokenMap.of(1 + np.arange(1024).reshape(32, 32), names)
    heads = AttentionGallery.capacity(1025)
    scores = np.random.default_rng(0).normal(size=(1, heads, 1025, 1025)).astype(np.float32)
    return AttentionGallery(Picture.of(random_picture(512)), tokens, scores)


def images(tokens: TokenMap, scores: torch.Tensor) -> HeadImageMatrix:
    return HeadImageMatrix.of([Picture.of(random_picture(SIZE))] * 8, tokens, [scores] * 8)


def page_row(
    name: str,
    viewer: AttentionGallery | HeadImageMatrix,
    folder: Path,
    most_seconds: float | str = "",
    most_megabytes: float | str = "",
) -> dict[str, Any]:
    page = Page("A page", [Section("Attention", [viewer])])
    save = partial(page.save, folder / "page.html")
    seconds = [timed(save) for _ in range(5)]
    alone = [timed(save, time.process_time) for _ in range(3)]
    return {
        "page": name,
        "seconds": round(statistics.median(seconds), 2),
        "of the processor": round(statistics.median(alone), 2),
        "at most": most_seconds,
        "megabytes": round((folder / "page.html").stat().st_size / 1e6, 1),
        "at most ": most_megabytes,
    }


def hover_rows(
    browser: Browser, name: str, gallery: AttentionGallery, folder: Path
) -> list[dict[str, Any]]:
    tab = browser.new_page()
    page = Page("A page", [Section("Attention", [gallery])]).save(folder / "page.html")
    opened = timed(lambda: (tab.goto(page.as_uri()), tab.wait_for_selector("[data-ready]")))
    viewer, rows = tab.locator(gallery.tag), []
    for beside in ("all heads", "matrix"):
        viewer.get_by_label(beside, exact=True).last.check(force=True)
        for way in ("looks at", "is looked at by"):
            viewer.get_by_label(way, exact=True).check(force=True)
            times = viewer.evaluate(HOVER, [MOVES, len(gallery.tokens.names)])
            rows.append(
                {
                    "page": name,
                    "beside the picture": beside,
                    "direction": way,
                    "milliseconds": round(statistics.median(times), 2),
                    "slowest of ten": round(statistics.quantiles(times, n=10)[-1], 2),
                    "at most": 16,
                    "opened in seconds": round(opened, 2),
                }
            )
    tab.close()
    return rows


def film_row(kind: str, gallery: AttentionGallery, folder: Path) -> dict[str, Any]:
    save = gallery.save_gif if kind == "gif" else gallery.save_mp4
    seconds = timed(lambda: save(folder / f"head.{kind}", 0, 0, width=360))
    size = (folder / f"head.{kind}").stat().st_size
    return {"film": kind, "seconds": round(seconds, 1), "megabytes": round(size / 1e6, 2)}


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("Chromium must be on the PATH; got none. Install it.")
    return found


if __name__ == "__main__":
    main()
