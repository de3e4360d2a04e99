"""Files that hold a picture, in every mode that is found in the wild."""

import io

import numpy as np
import pytest
from PIL import Image

from vitreous.data import open_image


def saved(tmp_path, image: Image.Image, name: str, **options) -> Image.Image:
    image.save(tmp_path / name, **options)
    return open_image(tmp_path / name)


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    opened = saved(tmp_path, image, "a.png")
    assert opened.mode == "RGB"
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (255, 255, 255)]


def test_half_transparent_gray_is_laid_on_white_and_stays_gray(tmp_path):
    opened = saved(tmp_path, Image.new("LA", (1, 1), (0, 51)), "a.png")
    assert (opened.mode, opened.getpixel((0, 0))) == ("L", 204)


def test_a_palette_with_a_transparent_color_is_laid_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    opened = saved(tmp_path, image, "a.gif", transparency=1)
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (255, 255, 255)]


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
    levels = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    opened = saved(tmp_path, Image.fromarray(levels), "a.png")
    assert (opened.mode, np.asarray(opened).tolist()) == ("L", [[0, 1, 128, 255]])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr", "CMYK", "LAB"])
def test_white_stays_white_in_every_mode(tmp_path, mode):
    white = Image.new("RGB", (3, 2), "white")
    image = white.convert(mode) if mode != "LAB" else Image.new("LAB", (3, 2), (255, 128, 128))
    opened = saved(tmp_path, image, "a.tif")
    assert opened.mode in ("L", "RGB")
    assert set(np.asarray(opened).ravel().tolist()) <= {254, 255}


def test_cmyk_ink_becomes_its_color(tmp_path):
    opened = saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.tif")
    assert opened.getpixel((4, 4)) == (255, 0, 0)


def test_exif_orientation_is_ignored_as_in_timm(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert saved(tmp_path, Image.new("RGB", (4, 2)), "a.jpg", exif=exif).size == (4, 2)


def test_a_one_frame_gif_is_a_still_picture(tmp_path):
    assert saved(tmp_path, Image.new("RGB", (2, 2), "red"), "a.gif").getpixel((0, 0)) == (255, 0, 0)


def test_one_pixel_is_a_picture(tmp_path):
    assert saved(tmp_path, Image.new("RGB", (1, 1), "red"), "a.png").size == (1, 1)


def test_a_side_of_20000_pixels_is_read_when_the_whole_is_small_enough(tmp_path):
    assert saved(tmp_path, Image.new("L", (20_000, 50)), "a.png").size == (20_000, 50)


def test_an_open_file_is_read():
    buffer = io.BytesIO()
    Image.new("L", (3, 3), 7).save(buffer, "PNG")
    buffer.seek(0)
    assert open_image(buffer).getpixel((1, 1)) == 7
