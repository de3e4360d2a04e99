"""Smooth made-up data with the shapes of real models."""

import numpy as np

from vitreous.view import (
    AttentionGallery,
    Bars,
    HeatMap,
    ImageGrid,
    Page,
    PatchLens,
    Picture,
    Section,
    TokenMap,
)


def picture(rows: int = 128, columns: int = 128) -> Picture:
    """A bright ring on a soft gradient."""
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    ring = np.exp(-(((np.hypot(x - 0.5, y - 0.5) - 0.28) / 0.07) ** 2))
    channels = [60 + 180 * ring, 70 + 120 * ring + 40 * y, 110 + 60 * x + 60 * ring]
    return Picture.of(np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8))


def token_map(rows: int, columns: int, special: tuple[str, ...] = ("cls",)) -> TokenMap:
    grid = np.arange(rows * columns).reshape(rows, columns) + len(special)
    patches = tuple(f"r{row}c{column}" for row in range(rows) for column in range(columns))
    return TokenMap.of(grid, special + patches)


def scores(tokens: TokenMap, n_layers: int, n_heads: int, seed: int = 0) -> np.ndarray:
    """Each head prefers keys at its own offset from the query."""
    generator = np.random.default_rng(seed)
    rows, columns, n_special = len(tokens.grid), len(tokens.grid[0]), len(tokens.special)
    at = np.array([(row, column) for row in range(rows) for column in range(columns)], dtype=float)
    at = np.concatenate([np.full((n_special, 2), (rows - 1) / 2), at])
    shift = generator.normal(size=(n_layers, n_heads, 1, 2)) * rows / 5
    width = rows * generator.uniform(0.12, 0.5, size=(n_layers, n_heads, 1, 1))
    wanted = at[None, None] + shift
    distance = np.linalg.norm(wanted[:, :, :, None] - at[None, None, None], axis=-1)
    noise = generator.normal(size=distance.shape) * 0.15
    return (-((distance / width) ** 2) / 2 + noise).astype(np.float32)


def lens_logits(tokens: TokenMap, n_layers: int, n_labels: int, seed: int = 1) -> np.ndarray:
    """Labels win in patches around their own place, more clearly in later layers."""
    generator = np.random.default_rng(seed)
    rows, columns, n_special = len(tokens.grid), len(tokens.grid[0]), len(tokens.special)
    at = np.array([(r, c) for r in range(rows) for c in range(columns)]) / max(rows, columns)
    at = np.concatenate([np.full((n_special, 2), 0.5), at])
    home = generator.uniform(size=(n_labels, 2))
    near = -6 * np.linalg.norm(at[:, None] - home[None], axis=-1)
    grown = np.linspace(0.1, 1.6, n_layers)[:, None, None] * (near + 2)[None]
    return (grown + 0.4 * generator.normal(size=grown.shape)).astype(np.float32)


def page(
    rows: int = 8,
    columns: int = 8,
    n_layers: int = 4,
    n_heads: int = 4,
    labels: tuple[str, ...] = tuple("zero one two three four five six seven eight nine".split()),
    emoji: tuple[str, ...] | None = tuple(f"{digit}\ufe0f\u20e3" for digit in range(10)),
    special: tuple[str, ...] = ("cls",),
    shape: tuple[int, int] = (128, 128),
) -> Page:
    """A page with every viewer on it."""
    generator = np.random.default_rng(7)
    tokens, image = token_map(rows, columns, special), picture(*shape)
    logits = lens_logits(tokens, n_layers + 1, len(labels))
    layers = ["embedding", *(f"block {layer}" for layer in range(n_layers))]
    named = [str(i) for i in range(max(n_layers, n_heads))]
    kinds = ["embedding"] + [
        f"{kind} {layer}" for layer in range(n_layers) for kind in ("attention", "MLP")
    ]
    best = np.argsort(-logits[-1, 0])[:5]
    odds = np.exp(logits[-1, 0] - logits[-1, 0].max())
    heat = generator.normal(size=(n_layers, n_heads)).astype(np.float32)
    return Page(
        title=f"Why “{labels[best[0]]}” and not “{labels[best[1]]}”?",
        subtitle="A synthetic page",
        facts={"prediction": labels[best[0]], "target": "2.31"},
        sections=[
            Section(
                "What the model sees",
                [
                    ImageGrid(image, tokens),
                    Bars(
                        [labels[i] for i in best],
                        (odds / odds.sum())[best].astype(np.float32),
                        kind="probability",
                    ),
                ],
                columns=(2, 3),
            ),
            Section(
                "What each patch says",
                [
                    PatchLens(
                        image,
                        tokens,
                        logits,
                        layers,
                        labels,
                        emoji,
                        followed=[int(i) for i in best],
                    )
                ],
                lede="Each patch is read out at each layer.",
            ),
            Section(
                "Who wrote the logit",
                [
                    Bars(
                        [*kinds, "bias"],
                        generator.normal(size=2 * n_layers + 2).astype(np.float32),
                        total="sum",
                        unit="logits",
                        caption="By layer",
                    ),
                    HeatMap(
                        heat,
                        named[:n_layers],
                        named[:n_heads],
                        caption="By head",
                        unit="logits",
                        ends=("against", "for"),
                    ),
                ],
                columns=(1, 1),
            ),
            Section(
                "Where each head looks",
                [AttentionGallery(image, tokens, scores(tokens, n_layers, n_heads))],
            ),
        ],
        footer={"model": "synthetic"},
    )
