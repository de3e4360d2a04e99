"""Image processors of transformers, number by number, on files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image, ImageDraw

import vitreous as vt
from tests.parity.transformers_models import VIT, as_patches, random_model, random_of
from vitreous.models.adapters._transformers_images import preprocessing_of

SIZES = [(97, 61), (40, 133), (32, 32), (31, 64), (300, 200), (35, 34)]  # width, height
CROPPED = {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}}
SQUASHED = {"size": {"height": 32, "width": 32}}

PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTImageProcessor", SQUASHED),
    "vit, pillow": ("ViTImageProcessorPil", SQUASHED),
    "vit, nearest": ("ViTImageProcessor", SQUASHED | {"resample": 0}),
    "vit, lanczos, pillow": ("ViTImageProcessorPil", SQUASHED | {"resample": 1}),
    "clip": ("CLIPImageProcessor", CROPPED),
    "clip, pillow": ("CLIPImageProcessorPil", CROPPED),
    "clip, odd margin": (
        "CLIPImageProcessor",
        {"size": {"shortest_edge": 35}, "crop_size": {"height": 32, "width": 28}},
    ),
    "clip, odd margin, pillow": (
        "CLIPImageProcessorPil",
        {"size": {"shortest_edge": 35}, "crop_size": {"height": 32, "width": 28}},
    ),
    "dinov2": ("BitImageProcessor", CROPPED | {"resample": 3}),
    "dinov3": ("DINOv3ViTImageProcessor", SQUASHED),
    "dinov3, cropped": (
        "DINOv3ViTImageProcessor",
        {"size": {"height": 40, "width": 50}, "do_center_crop": True, "resample": 3}
        | {"crop_size": {"height": 32, "width": 32}},
    ),
    "deit": (
        "DeiTImageProcessor",
        {"size": {"height": 37, "width": 37}, "crop_size": {"height": 32, "width": 32}},
    ),
    "beit": ("BeitImageProcessor", SQUASHED),
    "beit, pillow": ("BeitImageProcessorPil", SQUASHED),
    "siglip": ("SiglipImageProcessor", SQUASHED),
    "no rescaling": ("ViTImageProcessor", SQUASHED | {"do_rescale": False}),
    "another factor": ("ViTImageProcessor", SQUASHED | {"rescale_factor": 1 / 127.5}),
    "no normalization": ("ViTImageProcessor", SQUASHED | {"do_normalize": False}),
}


def file(folder: Path, width: int, height: int, suffix: str) -> Path:
    """A drawing with sharp edges, over noise."""
    rng = np.random.default_rng(width * 1000 + height)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse((3, 5, width // 2 + 5, height - 4), fill=(255, 240, 0), outline=(0, 0, 0))
    draw.line((0, height, width, 0), fill=(0, 0, 255), width=3)
    path = folder / f"drawing{width}x{height}{suffix}"
    image.save(path)
    return path


def image_size(fields: dict[str, Any]) -> tuple[int, int]:
    size = fields.get("crop_size", fields["size"])
    return size["height"], size["width"]


def model_config(fields: dict[str, Any]) -> vt.HookedViTConfig:
    return vt.HookedViTConfig(1, 8, 1, image_size=image_size(fields), patch_size=4)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("case", PROCESSORS)
def test_pixels_equal_those_of_the_image_processor(case, suffix, tmp_path):
    name, fields = PROCESSORS[case]
    processor = getattr(transformers, name)(**fields)
    preprocessing = preprocessing_of(processor, model_config(fields))
    for size in SIZES:
        path = file(tmp_path, *size, suffix)
        expected = processor(Image.open(path), return_tensors="pt")["pixel_values"]
        scale = max(1.0, expected.abs().max().item() / 3)
        torch.testing.assert_close(preprocessing(path), expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["Siglip2ImageProcessor", "Siglip2ImageProcessorPil"])
def test_pictures_that_keep_their_shape_have_the_patches_of_the_source(name, tmp_path):
    processor = getattr(transformers, name)(patch_size=8, max_num_patches=20)
    module = random_model("siglip 2").float()
    model = vt.from_module(module, processor)
    shapes = set()
    for size in [*SIZES, (9, 10), (1000, 9), (48, 24)]:
        path = file(tmp_path, *size, ".png")
        expected = processor(Image.open(path), return_tensors="pt")
        pixels = model.preprocess(path)
        patches = as_patches(pixels, 8)["pixel_values"][0]
        shapes.add(tuple(pixels.shape[2:]))
        theirs = expected["pixel_values"][0][expected["pixel_attention_mask"][0].bool()]
        torch.testing.assert_close(patches, theirs, rtol=0, atol=1e-6)
        with torch.no_grad():
            torch.testing.assert_close(model(pixels), module(**expected).pooler_output)
    assert len(shapes) > 4
    with pytest.raises(vt.ImageError, match="must have one size, and here each keeps its shape"):
        model.preprocess([np.zeros((9, 30, 3), np.uint8), np.zeros((30, 9, 3), np.uint8)])
    assert model.preprocessing is not None
    assert vt.data.Preprocessing.from_json(model.preprocessing.to_json()) == model.preprocessing


@pytest.mark.parametrize("case", ["clip, odd margin", "dinov3, cropped"])
def test_json_brings_back_an_equal_preprocessing(case):
    name, fields = PROCESSORS[case]
    processor = getattr(transformers, name)(**fields)
    preprocessing = preprocessing_of(processor, model_config(fields))
    assert vt.data.Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_a_saved_processor_is_loaded_with_its_model(tmp_path):
    processor = transformers.ViTImageProcessor(**SQUASHED)
    module = random_model("vit classifier")
    for each in (processor, module):
        each.save_pretrained(tmp_path / "model")
    path = file(tmp_path, 50, 40, ".png")
    expected = processor(Image.open(path), return_tensors="pt")["pixel_values"]
    for model in (vt.load(f"hf:{tmp_path / 'model'}"), vt.from_module(module, processor)):
        pixels = model.preprocess(path)
        torch.testing.assert_close(pixels, expected.to(pixels), rtol=0, atol=1e-6)


def test_the_image_processor_of_a_processor_for_texts_too_is_used():
    class Both:
        image_processor = transformers.CLIPImageProcessor(**CROPPED)

    model = vt.from_module(random_model("clip"), Both())
    assert model.preprocessing == preprocessing_of(Both.image_processor, model.cfg)


def test_a_processor_on_record_that_cannot_be_represented_warns_and_is_left_out(tmp_path):
    random_model("vit").save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"must give 32 x 32 pixels.*Set `model\.preprocessing"):
        model = vt.load(f"hf:{tmp_path}")
    assert model.preprocessing is None


class Negative(transformers.ViTImageProcessor):
    """Does what nobody expects."""

    def rescale(self, image: Any, scale: float, **_: Any) -> Any:
        return 1 - super().rescale(image, scale)


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (transformers.ViTImageProcessor(do_resize=False), "`size` must have"),
        (transformers.ViTImageProcessor(size={"shortest_edge": 32}), "must go with"),
        (transformers.CLIPImageProcessor(size={"shortest_edge": 20}), "must not be larger"),
        (transformers.ViTImageProcessor(**SQUASHED, resample=5), "`resample` must be"),
        (transformers.ViTImageProcessor(**SQUASHED, do_pad=True), "`do_pad` must be off"),
        (transformers.ViTImageProcessor(**SQUASHED, image_mean=[0.5]), "number per channel"),
        (transformers.Siglip2ImageProcessor(), "must resize, for a model of any image size"),
        (Negative(**SQUASHED), "must be one of transformers'"),
        (lambda image: image, "must be one of transformers'"),
    ],
)
def test_a_step_that_ours_lacks_is_named(processor, words):
    module = random_of(transformers.ViTModel(transformers.ViTConfig(**VIT)))
    with pytest.raises(vt.UnsupportedModelError, match=words):
        vt.from_module(module, processor)
