"""What pictures that can't be used get: one line that names the thing and the way out."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from vitreous._errors import ImageError
from vitreous.data import Images, Preprocessing, open_image

EIGHT = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)


def refusal(source) -> str:
    with pytest.raises(ImageError) as error:
        open_image(source)
    assert "\n" not in str(error.value)
    return str(error.value)


def noise_png() -> bytes:
    buffer = io.BytesIO()
    levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        sum_of = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + sum_of

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_missing_file_is_named(tmp_path):
    assert "missing.png` must be an image file; got no such file." in refusal(
        tmp_path / "missing.png"
    )


def test_a_folder_is_no_image(tmp_path):
    assert "must be an image file; got a folder." in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"hello, I am text", "a text file"),
        ("größe ".encode() * 200, "a text file"),
        (b"", "an empty file"),
        (b"\x00\x01\x02\xff" * 9, "a file of another kind"),
        (b"\xff\xfe\xfd" * 9, "a file of another kind"),
    ],
)
def test_a_file_of_another_kind_says_what_it_is(tmp_path, content, found):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    assert f"must be an image (PNG, JPEG, WebP, ...); got {found}." in refusal(path)


def test_a_truncated_file_is_damaged(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(noise_png()[:2000])
    assert "must be a whole PNG file; got a damaged one" in refusal(path)


def test_flipped_bytes_give_a_picture_or_one_line_never_another_error(tmp_path):
    path, whole = tmp_path / "flipped.png", noise_png()
    refusals = []
    for place in range(8, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            open_image(path)
        except ImageError as error:
            refusals.append(str(error))
    assert refusals
    assert not any("\n" in line for line in refusals)


def test_a_decompression_bomb_is_refused_with_the_limit(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png_of_size(20_000, 20_000))
    assert "must have at most 178,956,970 pixels; got 400,000,000." in refusal(path)


def test_an_animation_is_refused_with_its_frame_count(tmp_path):
    path = tmp_path / "a.gif"
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    first.save(path, save_all=True, append_images=[second])
    assert "a.gif` must be one still picture; got 2 frames." in refusal(path)


def test_32_bit_pixels_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.ones((2, 2), np.float32)).save(path)
    assert "must have 8 or 16 bits a channel; got 32-bit pixels (mode `F`)" in refusal(path)


def test_data_that_is_no_image_is_refused():
    assert "must be an image (PNG, JPEG, WebP, ...); got other data." in refusal(io.BytesIO(b"no"))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "uint8 levels of 0..255; got float32"),
        (torch.zeros(3, 4, 4), "uint8 levels of 0..255; got float32"),
        (np.zeros((4, 4, 7), np.uint8), "with 1, 3 or 4 channels; got 4x4x7"),
        (np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
        ([], "`images` must hold at least one picture; got none"),
        (Image.new("L", (200_000, 1)), "sides must be of similar length; got 200000 x 1"),
    ],
)
def test_a_picture_that_cannot_be_prepared_is_refused(picture, message):
    big = Preprocessing((512, 512), (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(ImageError, match=message):
        big(picture)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"interpolation": "cubic"}, "`interpolation` must be one of nearest, .*; got 'cubic'"),
        (
            {"crop_mode": "middle"},
            "`crop_mode` must be one of center, squash, border; got 'middle'",
        ),
        ({"n_channels": 2}, "`n_channels` must be one of 1, 3; got 2"),
        ({"mean": (0.5,)}, "`mean` and `std` must have one number per channel, 3; got 1 and 3"),
    ],
)
def test_a_preprocessing_that_cannot_work_is_refused(fields, message):
    good = {"image_size": (8, 8), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    with pytest.raises(ValueError, match=message):
        Preprocessing(**(good | fields))


def test_a_missing_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(ImageError, match="nowhere` must be a folder of images; got none"):
        Images.from_folder(tmp_path / "nowhere", EIGHT)
    with pytest.raises(ImageError, match="must hold image files; got none"):
        Images.from_folder(tmp_path, EIGHT)


def test_labels_of_another_count_are_refused():
    with pytest.raises(ValueError, match="`labels` must have one entry per picture, 2; got 3"):
        Images.from_tensor(torch.zeros(2, 3, 4, 4), torch.zeros(3, dtype=torch.long))


def test_an_index_beyond_the_set_is_refused():
    with pytest.raises(IndexError, match=r"`index` must lie in 0..1; got \[2\]"):
        Images.from_tensor(torch.zeros(2, 3, 4, 4))[2]


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="`batch_size` must be at least 1; got 0"):
        Images.from_tensor(torch.zeros(2, 3, 4, 4), batch_size=0)


def test_a_dataset_without_an_index_is_refused():
    with pytest.raises(TypeError, match="`dataset` must have a length and an index; got generator"):
        Images.from_dataset(x for x in ())
