"""Images of another size than the positions were learned for, as the sources take them."""

from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor

import vitreous as vt
from tests.parity import timm_models
from tests.parity.distances import distance
from tests.parity.transformers_models import (
    CASES,
    as_patches,
    layers_of,
    random_model,
    random_of,
    vision,
)
from tests.tiny import random_images as tiny_images
from tests.tiny import random_model as tiny_model
from vitreous.models import PositionConfig, ResampleConfig, resample_positions

SIZES = [(48, 24), (16, 16)]


def images_of(module: Any, size: tuple[int, int], count: int = 2) -> Tensor:
    return torch.randn(count, vision(module).num_channels, *size, dtype=torch.float64)


@torch.no_grad()
def source_at(module: Any, images: Tensor) -> dict[str, Tensor]:
    """The stream behind every block, and what is read, of the source told to take any size."""
    inputs: dict[str, Any] = {"pixel_values": images, "interpolate_pos_encoding": True}
    kind = vision(module).model_type
    if kind.startswith("siglip2"):
        inputs = as_patches(images, vision(module).patch_size)
    elif kind.startswith(("dinov", "beit")):
        del inputs["interpolate_pos_encoding"]
    if kind == "vit_mae":
        n_patches = images.shape[2] * images.shape[3] // vision(module).patch_size ** 2
        inputs["noise"] = torch.arange(float(n_patches)).expand(len(images), -1)
    return timm_models.residuals(lambda: read(module, inputs), layers_of(module))


def read(module: Any, inputs: dict[str, Any]) -> Tensor:
    if hasattr(module, "get_image_features"):
        return module.get_image_features(**inputs).pooler_output
    output = module(**inputs)
    for name in ("logits", "image_embeds"):
        if name in output:
            return output[name]
    if vision(module).model_type in ("vit", "deit", "vit_mae"):
        return output.last_hidden_state[:, 0]
    return output.last_hidden_state if output.pooler_output is None else output.pooler_output


def far(model: vt.HookedViT, images: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    logits, cache = model.run_with_cache(images)
    apart = {name: distance(cache[name], x) for name, x in truth.items() if name != "logits"}
    apart["logits"] = distance(logits, truth["logits"])
    return {name: value for name, value in apart.items() if not value <= 1e-10}


ALWAYS = [
    "dinov2",
    "dinov2 classifier",
    "dinov2 with registers",
    "siglip 2",
    "siglip 2, both towers",
    "siglip 2 classifier",
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", ALWAYS)
def test_what_the_source_takes_at_any_size_is_equal_at_any_size(case, size):
    module = random_model(case)
    images = images_of(module, size)
    model = vt.from_module(module, tower="image")
    assert far(model, images, source_at(module, images)) == {}
    assert model.layout_for(images).grid == (1, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("case", ["vit", "deit with teacher", "mae", "clip, projected", "siglip"])
def test_what_the_source_takes_on_request_is_refused_until_it_is_requested(case):
    module = random_model(case)
    images = images_of(module, (48, 24))
    model = vt.from_module(module, tower="image")
    with pytest.raises(ValueError, match=r"must be 32 x 32 .* or `vt.models.resample_positions"):
        model(images)
    assert far(resample_positions(model), images, source_at(module, images)) == {}


@pytest.mark.parametrize(
    "case",
    [
        *("vit classifier", "deit", "mae", "dinov2, gated", "dinov2 with registers"),
        *("dinov3", "dinov3, gated", "beit", "beit, both biases", "beit, class token"),
        *("clip", "clip classifier", "siglip, no head", "siglip 2"),
    ],
)
def test_a_model_loaded_at_an_image_size_is_its_source_there(case, tmp_path):
    module = random_model(case)
    module.save_pretrained(tmp_path)
    images = images_of(module, (48, 24))
    model = vt.load(f"hf:{tmp_path}", tower="image", image_size=(48, 24), dtype=torch.float64)
    assert model.cfg.image_size == (48, 24)
    assert far(model, images, source_at(module, images)) == {}
    with pytest.raises(ValueError, match="Images must be 48 x 24 pixels"):
        model(images_of(module, (32, 32)))


def test_an_image_size_that_patches_do_not_tile_is_refused(tmp_path):
    random_model("vit").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="must be a multiple of the patches, 8 x 8; got 30 x 32"):
        vt.load(f"hf:{tmp_path}", image_size=(30, 32))


def test_an_image_size_that_the_source_cannot_resample_for_is_refused(tmp_path):
    random_model("vit, not square").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="positions are not those of a square"):
        vt.load(f"hf:{tmp_path}", image_size=(48, 24))


@pytest.mark.parametrize("cropped", [False, True])
def test_pictures_are_prepared_at_the_image_size_that_was_asked_for(cropped, tmp_path):
    module = random_model("clip")
    module.save_pretrained(tmp_path)
    side = {"height": 32, "width": 32}
    sizes = {"size": {"shortest_edge": 40}, "crop_size": side} if cropped else {"size": side}
    processor = transformers.CLIPImageProcessor(**sizes, do_center_crop=cropped)
    processor.save_pretrained(tmp_path)
    model = vt.load(f"hf:{tmp_path}", image_size=64)
    assert model.preprocessing is not None
    assert model.preprocessing.image_size == (64, 64)
    assert model.preprocessing.scaled_size == (80 if cropped else (64, 64))


# ---- NaFlex: lists of patches, padded


def padded(images: list[Tensor], patch: int, length: int) -> dict[str, Tensor]:
    """One batch of images of several shapes; what stands in the padding must not matter."""
    parts = [as_patches(image, patch) for image in images]
    pixels = torch.randn(len(parts), length, 3 * patch * patch, dtype=torch.float64)
    mask = torch.zeros(len(parts), length, dtype=torch.long)
    for row, part in enumerate(parts):
        n_patches = part["pixel_values"].shape[1]
        pixels[row, :n_patches] = part["pixel_values"][0]
        mask[row, :n_patches] = 1
    shapes = torch.cat([part["spatial_shapes"] for part in parts])
    return {"pixel_values": pixels, "pixel_attention_mask": mask, "spatial_shapes": shapes}


@pytest.mark.parametrize("case", ["siglip 2", "siglip 2 classifier"])
def test_naflex_equals_the_source_with_its_mask_at_the_tokens_that_are_there(case):
    module = random_model(case)
    images = [images_of(module, size, 1) for size in ((48, 24), (16, 64), (32, 32))]
    truth = timm_models.residuals(lambda: read(module, padded(images, 8, 23)), layers_of(module))
    model = vt.from_module(module)
    for row, image in enumerate(images):
        n_patches = image.shape[2] * image.shape[3] // 64
        own = {name: x[row : row + 1, :n_patches] for name, x in truth.items() if name != "logits"}
        assert far(model, image, own | {"logits": truth["logits"][row : row + 1]}) == {}


def test_naflex_without_a_head_gives_its_valid_tokens():
    module = random_of(
        transformers.Siglip2VisionModel(
            transformers.Siglip2VisionConfig(**CASES["siglip 2"][2] | {"vision_use_head": False})
        )
    )
    images = [images_of(module, size, 1) for size in ((48, 24), (16, 64))]
    with torch.no_grad():
        truth = module(**padded(images, 8, 20)).last_hidden_state
    model = vt.from_module(module)
    for row, image in enumerate(images):
        tokens = model(image)
        assert distance(tokens[0], truth[row, : tokens.shape[1]]) <= 1e-10


# ---- timm


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", {}),
        ("vit_tiny_patch16_224", {"no_embed_class": True, "reg_tokens": 2}),
        ("deit_tiny_distilled_patch16_224", {}),
        ("vit_base_patch16_siglip_224", {}),
    ],
)
def test_timms_dynamic_image_size_is_kept(name, options):
    small = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 5}
    torch.manual_seed(0)
    source = timm.create_model(name, **small | options, dynamic_img_size=True)
    source = timm_models.randomized(source.double().eval())
    model = vt.from_module(source)
    for size in ((64, 64), (32, 96), (80, 48)):
        images = torch.randn(2, 3, *size, dtype=torch.float64)
        truth = timm_models.residuals(lambda at=images: source(at), source.blocks)
        assert far(model, images, truth) == {}


def test_timm_without_it_is_refused_and_then_resampled_as_timm_resizes():
    small = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 5}
    torch.manual_seed(0)
    source = timm.create_model("vit_tiny_patch16_224", **small)
    source = timm_models.randomized(source.double().eval())
    model = vt.from_module(source)
    images = torch.randn(2, 3, 96, 32, dtype=torch.float64)
    with pytest.raises(ValueError, match="Images must be 64 x 64 pixels"):
        model(images)
    source.set_input_size(img_size=(96, 32))
    with torch.no_grad():
        assert distance(resample_positions(model)(images), source(images)) <= 1e-10


# ---- the part itself


def test_resampled_positions_are_those_that_are_added_and_cached():
    model = tiny_model(position=PositionConfig(resample=ResampleConfig()), n_registers=1)
    images = tiny_images(size=(16, 12))
    _, cache = model.run_with_cache(images)
    assert cache.layout.grid == (1, 4, 3)
    torch.testing.assert_close(
        cache["hook_embed"] + cache["hook_pos_embed"], cache["hook_full_embed"]
    )
    _, whole = model.run_with_cache(images, names_filter="hook_pos_embed")
    assert torch.equal(cache["hook_pos_embed"], whole["hook_pos_embed"])
    assert torch.equal(cache["hook_pos_embed"][0, :2], model.W_pos[:2])  # these have no place


def test_a_table_that_is_a_plane_stays_one():
    """Linear filters keep what is linear, away from the border."""
    model = tiny_model(
        image_size=(32, 32), position=PositionConfig(resample=ResampleConfig("bilinear", False))
    )
    rows = torch.arange(8.0, dtype=torch.float64).repeat_interleave(8)
    with torch.no_grad():
        model.embedding.pos[1:] = rows[:, None]
    layout = model.layout_for(tiny_images(size=(64, 64)))
    pos = model.embedding.positions(layout)[1:].unflatten(0, (16, 16))
    expected = (torch.arange(16, dtype=torch.float64) + 0.5) / 2 - 0.5
    torch.testing.assert_close(pos[1:-1, 5, 0], expected[1:-1])
    torch.testing.assert_close(pos[3, :, 1], expected[3].expand(16))


def test_models_whose_size_is_held_elsewhere_are_refused():
    rotary = tiny_model(position=None)
    with pytest.raises(ValueError, match="needs learned positions"):
        resample_positions(rotary)
    with pytest.raises(ValueError, match="must know how; got a model whose source doesn't say so"):
        resample_positions(tiny_model())
    assert resample_positions(tiny_model(), ResampleConfig())(tiny_images(size=(16, 12))).any()
