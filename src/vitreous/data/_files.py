"""A picture from a file, as 8-bit gray or RGB, or one line that says why not."""

import io
import os
import re
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from vitreous._errors import ImageError

# Further frames of these formats are previews, depth maps or layers, not other pictures.
_FORMATS_WITH_SIDE_FRAMES = {"MPO", "PSD"}


def open_image(source: str | os.PathLike[str] | io.BufferedReader | io.BytesIO) -> Image.Image:
    """Reads a still picture, wholly, as 8-bit gray (`L`) or color (`RGB`).

    Transparency is laid on white. 16-bit gray is scaled to 8 bits (65535 becomes 255), not
    clipped; color with 16 bits a channel keeps the upper eight. CMYK, YCbCr, Lab, palette and
    black-and-white files are converted. An animation is refused, because no frame of it is *the*
    picture. The EXIF orientation is ignored, as in timm's and torchvision's own loaders, so that
    a model sees what it would see there; call `PIL.ImageOps.exif_transpose` first if you want it
    upright. Files above Pillow's decompression-bomb limit (about 179 million pixels) are refused.

    Args:
        source: Path, or a binary file that is open for reading.

    Raises:
        ImageError: The file is missing, unreadable, no image, damaged, an animation, too large,
            or has 32-bit pixels.
    """
    name = _name(source)
    try:
        with warnings.catch_warnings():
            # Pillow warns from half of its limit on; up to the limit we read without a word.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source)
    except Exception as error:  # decoders raise about anything on damaged files
        raise _opening_error(source, name, error) from error
    with image:
        _refuse_animation(image, name)
        try:
            image.load()
        except Exception as error:
            raise ImageError(
                f"{name} must be a whole {image.format} file; got a damaged one "
                f"({_one_line(error)}). Save or download it again."
            ) from error
        return to_eight_bit(image, name)


def to_eight_bit(image: Image.Image, name: str = "The image") -> Image.Image:
    """Converts a Pillow image of any mode to `L` or `RGB`; these two are returned as they are.

    Args:
        image: For an animation, its current frame counts.
        name: What an error message calls it.

    Raises:
        ImageError: The image has 32-bit pixels, whose range isn't known, or an unknown mode.
    """
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return _scale_down(image)
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name} must have 8 or 16 bits a channel; got 32-bit pixels (mode `{image.mode}`), "
            "whose range isn't known. Save it as an 8-bit PNG."
        )
    if image.has_transparency_data:
        return _lay_on_white(image)
    try:
        return image.convert("L" if image.mode == "1" else "RGB")
    except (ValueError, OSError) as error:
        raise ImageError(
            f"{name} must be a gray or color image; got mode `{image.mode}`. Save it as a PNG."
        ) from error


def _scale_down(image: Image.Image) -> Image.Image:
    sixteen_bit = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((sixteen_bit + 128) // 257).astype(np.uint8))


def _lay_on_white(image: Image.Image) -> Image.Image:
    gray = image.mode in ("L", "LA", "La", "1")
    picture = image.convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return on_white.convert("L" if gray else "RGB")


def _refuse_animation(image: Image.Image, name: str) -> None:
    if getattr(image, "is_animated", False) and image.format not in _FORMATS_WITH_SIDE_FRAMES:
        raise ImageError(
            f"{name} must be one still picture; got {getattr(image, 'n_frames', 'several')} "
            "frames. Save the frame that you mean as a file of its own."
        )


def _opening_error(source: object, name: str, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{name} must be an image file; got no such file. Check the path.")
    if isinstance(error, IsADirectoryError):
        return ImageError(f"{name} must be an image file; got a folder. Name a file in it.")
    if isinstance(error, Image.DecompressionBombError):
        found, limit = (f"{int(n):,}" for n in re.findall(r"\d+", str(error))[:2])
        return ImageError(
            f"{name} must have at most {limit} pixels; got {found}. Scale it down first."
        )
    if isinstance(error, UnidentifiedImageError):
        return ImageError(
            f"{name} must be an image (PNG, JPEG, WebP, ...); got {_what_else(source)}. "
            "Convert it first, or name another file."
        )
    return ImageError(
        f"{name} must be a readable image; got an error on opening it ({_one_line(error)}). "
        "Check the file."
    )


def _what_else(source: object) -> str:
    if not isinstance(source, str | os.PathLike):
        return "other data"
    with open(source, "rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    return "a text file" if _is_text(start) else "a file of another kind"


def _is_text(start: bytes) -> bool:
    if b"\0" in start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(start) - 3  # a letter cut in two by the end of what was read
    return True


def _name(source: object) -> str:
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return f"`{os.fspath(path)}`" if isinstance(path, str | os.PathLike) else "The image"


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
