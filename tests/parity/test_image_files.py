"""Files in every mode that is found in the wild, prepared as each source library prepares them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

import vitreous as vt
from tests.parity.test_open_clip import random_tower
from tests.parity.test_torchvision import random_vit
from tests.parity.transformers_models import random_model

Prepare = Callable[[Image.Image], Tensor]

CROPPED = {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}}


def by_timm() -> tuple[vt.HookedViT, Prepare]:
    vit = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=24, num_heads=2)
    config = timm.data.resolve_data_config(pretrained_cfg=vit.pretrained_cfg)
    return vt.from_module(vit), timm.data.create_transform(**config)


def by_torchvision() -> tuple[vt.HookedViT, Prepare]:
    transform = torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1.transforms()
    vit = random_vit(image_size=224, num_layers=1).float()
    return vt.from_module(vit, transform), transform


def by_open_clip() -> tuple[vt.HookedViT, Prepare]:
    about = PreprocessCfg(size=(64, 64))
    tower = random_tower({"layers": 1}).float()
    return vt.from_module(tower, about), image_transform_v2(about, is_train=False)


def by_transformers(name: str, case: str, **sizes: Any) -> tuple[vt.HookedViT, Prepare]:
    processor = getattr(transformers, name)(**sizes)

    def prepare(image: Image.Image) -> Tensor:
        return processor(image, return_tensors="pt")["pixel_values"][0]

    return vt.from_module(random_model(case).float(), processor), prepare


SOURCES: dict[str, Callable[[], tuple[vt.HookedViT, Prepare]]] = {
    "timm": by_timm,
    "torchvision": by_torchvision,
    "open_clip": by_open_clip,
    "transformers, CLIP": lambda: by_transformers("CLIPImageProcessor", "clip", **CROPPED),
    "transformers, CLIP by Pillow": lambda: by_transformers(
        "CLIPImageProcessorPil", "clip", **CROPPED
    ),
    "transformers, ViT": lambda: by_transformers(
        "ViTImageProcessor", "vit", size={"height": 32, "width": 32}
    ),
    "transformers, ViT by Pillow": lambda: by_transformers(
        "ViTImageProcessorPil", "vit", size={"height": 32, "width": 32}
    ),
    "transformers, SigLIP": lambda: by_transformers(
        "SiglipImageProcessor", "siglip", size={"height": 32, "width": 32}
    ),
}
# What a picture is converted to, and the file that it is saved in.
FILES = [
    ("RGB", "a.png"), ("RGB", "a.jpg"), ("L", "a.png"), ("L", "a.jpg"), ("1", "a.png"),
    ("P", "a.gif"), ("RGBA", "a.png"), ("CMYK", "a.jpg"), ("RGB", "a.webp"),
]  # fmt: skip
SIZES = [(97, 61), (40, 333), (31, 32), (500, 375)]  # width, height


def saved(folder: Path, size: tuple[int, int], mode: str, name: str) -> Path:
    levels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(levels).convert(mode).save(folder / name)
    return folder / name


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_of_any_mode_and_size_is_prepared_as_by_its_source(source, tmp_path):
    model, prepare = SOURCES[source]()
    for mode, name in FILES:
        for size in SIZES:
            path = saved(tmp_path, size, mode, name)
            expected = prepare(Image.open(path).convert("RGB"))
            got = model.preprocess(path)[0]
            torch.testing.assert_close(
                got, expected, rtol=0, atol=1e-6, msg=lambda m, at=(mode, name, size): f"{at}: {m}"
            )


def test_what_is_transparent_is_white_where_open_clip_shows_what_lies_under_it(tmp_path):
    model, prepare = by_open_clip()
    image = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    image.paste((0, 0, 200, 255), (0, 0, 64, 32))
    image.save(tmp_path / "a.png")
    white = Image.new("RGB", (64, 64), "white")
    white.paste((0, 0, 200), (0, 0, 64, 32))
    got = model.preprocess(tmp_path / "a.png")[0]
    torch.testing.assert_close(got, prepare(white), rtol=0, atol=1e-6)
    assert (got - prepare(image)).abs().max() > 1
