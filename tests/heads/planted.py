"""A vision transformer whose heads' jobs are known, since their weights are set by hand.

Tokens have positions that are one-hot, so that a head can prefer any key for any query; patches
write their pixels into the stream as they are. Two layers: in the second, one head compares what
the first has copied.
"""

import torch
from torch import Tensor

from vitreous.models import HookedViT, HookedViTConfig, PoolingConfig

ROWS, COLUMNS, SIDE = 6, 8, 2
N_PREFIX = 2  # class token, register
N_PATCHES = ROWS * COLUMNS
N_TOKENS = N_PREFIX + N_PATCHES
N_PIXELS = 3 * SIDE * SIDE
HERE = slice(N_TOKENS, N_TOKENS + N_PIXELS)  # the patch's own pixels
BEFORE = slice(HERE.stop, HERE.stop + N_PIXELS)  # those of the patch in front of it
D_MODEL = BEFORE.stop
D_HEAD = N_TOKENS + N_PIXELS
SHARPNESS = 30.0
SINK = (2, 3)
STEP = (1, 2)
# Of heads that compare patches: which of the query is looked for in which of the keys.
COMPARED = {
    "duplicate": (HERE, HERE),
    "induction": (HERE, BEFORE),
    "completion": (BEFORE, BEFORE),
}
N_RANDOM = 4

FIRST = (
    "cls", "registers", "sink", "self", "uniform", "offset", "row", "column", "corner", "edges",
    "modulus", "local", "distance", "duplicate", "foreground", "text", "before",
)  # fmt: skip
SECOND = ("induction", "completion")


def planted_model(seed: int = 0) -> HookedViT:
    """Heads of layer 0 in the order of `FIRST`, then random ones; of layer 1 likewise."""
    n_heads = len(FIRST) + N_RANDOM
    cfg = HookedViTConfig(
        2, D_MODEL, n_heads, D_HEAD, n_classes=3, image_size=(ROWS * SIDE, COLUMNS * SIDE),
        patch_size=SIDE, n_registers=1, norm=None, pooling=PoolingConfig("mean", None),
    )  # fmt: skip
    model = HookedViT(cfg).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.W_E[:, HERE] = torch.eye(N_PIXELS, dtype=torch.float64)
        model.W_pos[:, :N_TOKENS] = torch.eye(N_TOKENS, dtype=torch.float64)
        for block, jobs in zip(model.blocks, (FIRST, SECOND), strict=True):
            for weight in (block.attn.W_Q, block.attn.W_K, block.attn.W_V):
                weight[len(jobs) :].normal_(0, 0.4, generator=generator)
            block.attn.W_O[len(jobs) :].normal_(0, 0.0002, generator=generator)
            for head, job in enumerate(jobs):
                plant(block.attn, head, job)
    return model


def plant(attn, head: int, job: str) -> None:
    """Sets the weights of one head."""
    strength = SHARPNESS * D_HEAD**0.5
    if job in ("foreground", "text"):
        channel = 0 if job == "foreground" else 2
        reads = range(HERE.start + channel * SIDE**2, HERE.start + (channel + 1) * SIDE**2)
        attn.b_Q[head, 0] = strength
        attn.W_K[head, list(reads), 0] = 1 / SIDE**2
        return
    prefer(attn, head, preferences(job), strength)
    if job in COMPARED:
        own, (asks, answers) = list(range(N_TOKENS, D_HEAD)), COMPARED[job]
        attn.W_Q[head, asks, own] = strength * torch.eye(N_PIXELS).double()
        attn.W_K[head, answers, own] = torch.eye(N_PIXELS).double()
    if job == "before":
        copies = range(N_PIXELS)
        attn.W_V[head, HERE, list(copies)] = torch.eye(N_PIXELS).double()
        attn.W_O[head, list(copies), BEFORE] = torch.eye(N_PIXELS).double()


def prefer(attn, head: int, liked: Tensor, strength: float) -> None:
    """Scores that are `liked[query, key]`, times the strength."""
    attn.W_Q[head, :N_TOKENS, :N_TOKENS] = strength * torch.eye(N_TOKENS).double()
    attn.W_K[head, :N_TOKENS, :N_TOKENS] = liked.T


def preferences(job: str) -> Tensor:
    """How much each query likes each key; class token and register like all alike."""
    liked = torch.zeros(N_TOKENS, N_TOKENS, dtype=torch.float64)
    if job in ("cls", "registers", "sink"):
        key = {"cls": 0, "registers": 1, "sink": token(*SINK)}[job]
        liked[:, key] = 1
    for query in range(N_PATCHES):
        for key in range(N_PATCHES):
            if likes(job, query, key):
                value = -20.0 if job in COMPARED else 1.0
                liked[N_PREFIX + query, N_PREFIX + key] = value
    if job in ("corner", "edges"):
        liked[:N_PREFIX] = liked[N_PREFIX]
    return liked


def likes(job: str, query: int, key: int) -> bool:
    """Whether a patch likes another; of those that compare patches, whether it must not look."""
    (r, c), (row, column) = divmod(query, COLUMNS), divmod(key, COLUMNS)
    on_rows, on_columns = row in (0, ROWS - 1), column in (0, COLUMNS - 1)
    return {
        "self": query == key,
        "offset": (row - r, column - c) == STEP,
        "row": row == r,
        "column": column == c,
        "corner": on_rows and on_columns,
        "edges": on_rows != on_columns,
        "modulus": (column - c) % 3 == 0,
        "local": max(abs(row - r), abs(column - c)) <= 1,
        "distance": abs(row - r) >= 3 and abs(column - c) >= 4,
        "before": key == query - 1,
        "duplicate": key == query,
        "induction": key >= query,
        "completion": key >= query,
    }.get(job, False)


def token(row: int, column: int) -> int:
    return N_PREFIX + row * COLUMNS + column


def planted_images(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images of patches from a dozen kinds, and their masks.

    A patch of an object is red; one patch of an image, elsewhere each time, is blue: a word. Green
    tells the kinds apart. Every pixel is 1 or -1.
    """
    generator = torch.Generator().manual_seed(seed)
    green = 2 * (torch.arange(1, 13)[:, None] >> torch.arange(4) & 1) - 1
    red = torch.where(torch.arange(12) % 3 == 0, 1, -1)
    kinds = torch.randint(0, 12, (count, N_PATCHES), generator=generator)
    words = torch.randint(0, N_PATCHES, (count, 1), generator=generator)
    is_word = torch.arange(N_PATCHES) == words
    planes = torch.stack(
        [
            torch.where(is_word, -1, red[kinds])[..., None].expand(-1, -1, 4),
            green[kinds],
            torch.where(is_word, 1, -1)[..., None].expand(-1, -1, 4),
        ],
        1,
    )
    pixels = planes.unflatten(-1, (SIDE, SIDE)).unflatten(2, (ROWS, COLUMNS))
    pixels = pixels.permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(2, 3).double()
    masks = torch.full((count, ROWS * SIDE, COLUMNS * SIDE), -1)
    masks[pixels[:, 0] > 0] = 0
    masks[pixels[:, 2] > 0] = -3
    return pixels, masks
