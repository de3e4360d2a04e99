"""What sweeps cost, against loops of hooked passes: a part of `make bench`."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import timm
import torch
from torch import Tensor, nn

import vitreous as vt
from benchmarks._results import Rows, write
from vitreous.models import HookedViTConfig, MapConfig, NormConfig, PoolingConfig
from vitreous.patching import sweep

Bar = dict[str, float | str]

HEADS = "All 144 heads of a ViT-B/16, one pair: processor's time of one thread"
PLACES = "All heads at all tokens, one pair: processor's time"
B16: dict[str, Any] = {
    "n_layers": 12, "d_model": 768, "n_heads": 12, "d_mlp": 3072, "n_classes": 1000,
    "image_size": 224, "patch_size": 16,
}  # fmt: skip
MAP = MapConfig(12, 64, 768, d_mlp=3072, norm=NormConfig())
READOUTS: dict[str, tuple[dict[str, Any], float]] = {
    "class token": ({}, 2.0),
    "mean": ({"pooling": PoolingConfig("mean")}, 1.8),
    "attention pooling": ({"pooling": PoolingConfig("map", map=MAP), "cls_token": False}, 1.8),
}
EAGER_AIM, ROUNDS, SECONDS = 3.0, 3, 10.0
# Every pass of a naive loop costs the same, whichever head it patches: one head per layer runs.
LOOPED = [(layer, layer) for layer in range(12)]
SHARE = len(LOOPED) / 144


def main() -> None:
    torch.manual_seed(0)
    tables: dict[str, Rows] = {HEADS: [], PLACES: [places_row("terrarium-4l")]}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for readout in READOUTS:
        with torch.no_grad():
            tables[HEADS] += against_loops(readout)
        write("patching", tables)
    torch.set_num_threads(threads)


def against_loops(readout: str) -> Rows:
    """A sweep against loops over the same heads, in turn, the order turned round every time."""
    changes, at_least = READOUTS[readout]
    model = vt.HookedViT(HookedViTConfig(**B16 | changes)).eval()
    clean, corrupt = model.random_inputs(2, torch.Generator().manual_seed(0)).split(1)
    own = OwnLoop(model, clean, corrupt)
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: sweep(model, clean, corrupt, 0, max_batch=12),
        "our own passes": lambda: [own.one(*at) for at in LOOPED],
    }
    if readout == "class token":
        eager = EagerLoop(clean, corrupt)
        works["timm, eager"] = lambda: [eager.one(*at) for at in LOOPED]
    sweep(model, clean, corrupt, 0, layers=[11])
    took: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(ROUNDS):
        for name in list(works)[:: -1 if turn % 2 else 1]:
            share = 1 if name == "ours" else SHARE
            took[name].append(seconds(works[name]) / share)
    least: dict[str, Bar] = {
        "our own passes": {"must be at least": at_least, "aimed at": ""},
        "timm, eager": {"must be at least": "", "aimed at": EAGER_AIM},
    }
    return [row(readout, name, took["ours"], took[name], least[name]) for name in list(works)[1:]]


def row(
    readout: str, against: str, ours: list[float], theirs: list[float], least: Bar
) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {
        "readout": readout,
        "against": against,
        "times faster": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f} to {max(ratios):.2f}",
        "sweep": f"{statistics.median(ours):.1f} s",
        "loop": f"{statistics.median(theirs):.1f} s",
        **least,
    }


class OwnLoop:
    """Hooked passes of our own model; the values of the clean run are there already."""

    def __init__(self, model: vt.HookedViT, clean: Tensor, corrupt: Tensor) -> None:
        self.model, self.corrupt = model, corrupt
        self.source = model.run_with_cache(clean, names_filter="blocks.*.attn.hook_z")[1]

    def one(self, layer: int, head: int) -> Tensor:
        source = self.source["z", layer]

        def put(z: Tensor, hook: Any) -> None:
            del hook
            z[:, :, head] = source[:, :, head]

        return self.model.run_with_hooks(self.corrupt, fwd_hooks=[(("z", layer), put)])


class EagerLoop:
    """The same patches in timm's module with explicit attention and torch's own hooks."""

    def __init__(self, clean: Tensor, corrupt: Tensor) -> None:
        self.model = timm.create_model("vit_base_patch16_224", pretrained=False).eval()
        for block in self.blocks:
            block.attn.fused_attn = False
        self.corrupt, self.source = corrupt, [torch.empty(0)] * 12
        handles = [
            block.attn.proj.register_forward_pre_hook(self._keeper(layer))
            for layer, block in enumerate(self.blocks)
        ]
        self.model(clean)
        for handle in handles:
            handle.remove()

    @property
    def blocks(self) -> Iterable[Any]:
        return self.model.blocks  # pyright: ignore[reportReturnType]

    def one(self, layer: int, head: int) -> Tensor:
        columns = slice(head * 64, (head + 1) * 64)

        def put(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            del module
            z = inputs[0].clone()
            z[..., columns] = self.source[layer][..., columns]
            return (z,)

        handle = list(self.blocks)[layer].attn.proj.register_forward_pre_hook(put)
        try:
            return self.model(self.corrupt)
        finally:
            handle.remove()

    def _keeper(self, layer: int) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
            del module
            self.source[layer] = inputs[0].clone()

        return keep


def places_row(name: str) -> dict[str, Any]:
    model = vt.load(name)
    clean, corrupt = model.random_inputs(2, torch.Generator().manual_seed(0)).split(1)
    took = [
        seconds(lambda: sweep(model, clean, corrupt, 0, over="heads_and_positions"))
        for _ in range(ROUNDS)
    ]
    cfg = model.cfg
    return {
        "model": name,
        "patches": cfg.n_layers * cfg.n_heads * model.layout.n_tokens,
        "seconds": round(statistics.median(took), 2),
        "must be at most": SECONDS,
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
