"""`Preprocessing` against timm's own evaluation transform, number by number."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from vitreous.data import Preprocessing

SIZES = [
    (224, 224),
    (300, 200),
    (61, 97),
    (640, 33),
    (17, 500),
    (1, 1),
    (225, 224),
]  # width, height
FILTERS = ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    levels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels).convert(mode)


def timm_config(preprocessing: Preprocessing) -> dict[str, object]:
    return resolve_data_config(
        {
            "input_size": (preprocessing.n_channels, *preprocessing.image_size),
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "interpolation": preprocessing.interpolation,
            "crop_pct": preprocessing.crop_fraction,
            "crop_mode": preprocessing.crop_mode,
        }
    )


def assert_equals_timm(preprocessing: Preprocessing, image: Image.Image) -> None:
    transform = create_transform(**timm_config(preprocessing), is_training=False)
    expected = transform(image.convert("RGB" if preprocessing.n_channels == 3 else "L"))
    torch.testing.assert_close(preprocessing(image)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize(
    ("fraction", "goal"), [(0.9, (224, 224)), (1.0, (96, 64)), (0.95, (33, 80))]
)
def test_equals_timm_for_every_crop_mode_shape_and_fraction(size, crop_mode, fraction, goal):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    preprocessing = Preprocessing(goal, mean, std, "bicubic", fraction, crop_mode)
    assert_equals_timm(preprocessing, noise(*size))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_equals_timm_for_every_filter(interpolation, crop_mode):
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing((48, 48), half, half, interpolation, 0.875, crop_mode)
    assert_equals_timm(preprocessing, noise(101, 67))


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_equals_timm_on_models_that_see_gray(crop_mode):
    preprocessing = Preprocessing((28, 28), (0.1307,), (0.3081,), "bilinear", 0.9, crop_mode, 1)
    assert_equals_timm(preprocessing, noise(50, 41))


def test_one_picture_becomes_a_batch_of_one():
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    assert preprocessing(noise(9, 9)).shape == (1, 3, 8, 8)
    assert preprocessing([noise(9, 9), noise(20, 9)]).shape == (2, 3, 8, 8)


def test_a_path_an_image_an_array_and_a_tensor_of_the_same_picture_are_equal(tmp_path):
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    image = noise(13, 9)
    image.save(tmp_path / "picture.png")
    array = np.asarray(image)
    expected = preprocessing(image)
    for picture in (
        tmp_path / "picture.png",
        str(tmp_path / "picture.png"),
        array,
        torch.from_numpy(array.copy()).permute(2, 0, 1),
        array[None],
        torch.from_numpy(array.copy()).permute(2, 0, 1)[None],
    ):
        assert torch.equal(preprocessing(picture), expected)


def test_a_gray_picture_becomes_three_equal_channels():
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    pixels = preprocessing(noise(8, 8, "L"))
    assert torch.equal(pixels[:, 0], pixels[:, 1])
    assert torch.equal(pixels[:, 0], pixels[:, 2])


@pytest.mark.parametrize("n_channels", [1, 3])
def test_inverse_gives_back_the_levels_that_the_model_saw(n_channels):
    mean, std = (0.485, 0.456, 0.406)[:n_channels], (0.229, 0.224, 0.225)[:n_channels]
    preprocessing = Preprocessing((10, 12), mean, std, crop_fraction=1.0, n_channels=n_channels)
    image = noise(12, 10, "RGB" if n_channels == 3 else "L")
    shown = preprocessing.inverse(preprocessing(image))
    assert shown.dtype == torch.uint8
    assert np.array_equal(shown[0].numpy(), np.asarray(image.convert("RGB")))


def test_json_brings_back_an_equal_preprocessing():
    preprocessing = Preprocessing((96, 64), (0.1,) * 3, (0.2,) * 3, "lanczos", 0.9, "border")
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_crop_is_what_the_tensor_holds_before_normalization():
    preprocessing = Preprocessing((16, 16), (0.5,) * 3, (0.5,) * 3)
    image = noise(40, 30)
    levels = torch.from_numpy(np.array(preprocessing.crop(image))).permute(2, 0, 1)[None]
    assert torch.equal(preprocessing.normalize(levels), preprocessing(image))
