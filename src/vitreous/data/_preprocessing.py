"""From pictures to the tensor that a model was trained to see, and back."""

import io
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from vitreous._errors import ImageError
from vitreous.data._files import open_image, to_eight_bit
from vitreous.data._patch_budget import size_within

Picture = (
    str | os.PathLike[str] | io.BufferedReader | io.BytesIO | Image.Image | np.ndarray | Tensor
)
"""A path, an open file, a Pillow image, a uint8 array (rows, columns[, channels]), or a uint8
tensor (channels, rows, columns)."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_TORCH_FILTERS = ("nearest", "bilinear", "bicubic")
_MAX_SCALED_PIXELS = 2**27


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture before a model sees it: scale, crop, normalize.

    Equal to timm's evaluation transform, number by number: Pillow's filters on 8-bit pixels, the
    same rounding of sizes and offsets, the same arithmetic in float32. `scaled_size`, `scaler` and
    `odd_margin` are for libraries that do those steps in another way.

    Attributes:
        image_size: Rows and columns that the model takes.
        mean: Per channel, on a scale where white is 1.
        std: Per channel, on the same scale.
        interpolation: Filter of the scaling: nearest, box, bilinear, hamming, bicubic or lanczos.
        crop_fraction: Side of the crop, as a part of the scaled picture's side.
        crop_mode: "center" scales the shorter side and cuts off what is left of the longer;
            "squash" scales both sides, each on its own; "border" scales the longer side and
            fills up the rest.
        n_channels: 3, or 1 for models that see gray.
        fill: Level of 0..255 that "border" fills up with; None means the mean color.
        scaled_size: Rows and columns of the scaled picture, or the length of its shorter side, in
            place of what follows from `crop_fraction` and `crop_mode`. It must hold the crop.
        scaler: Who scales: "pillow"; "torch" with antialiasing, on 8-bit levels, as torchvision
            does with tensors; or "torch_float", the same without rounding to levels. torch has
            the filters nearest, bilinear and bicubic.
        odd_margin: Where half a pixel would be cut off: "even" rounds to an even number, "down"
            cuts less at the top and left.
        max_patches: Where a picture keeps its shape, the most patches that it is cut into; it is
            scaled to multiples of `patch_size`, and `image_size` is but what a square one becomes
            at best. None where all pictures become `image_size`.
        patch_size: Pixel rows and columns of a patch, with `max_patches`.
    """

    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_fraction: float = 0.875
    crop_mode: Literal["center", "squash", "border"] = "center"
    n_channels: int = 3
    fill: int | None = None
    scaled_size: tuple[int, int] | int | None = None
    scaler: Literal["pillow", "torch", "torch_float"] = "pillow"
    odd_margin: Literal["even", "down"] = "even"
    max_patches: int | None = None
    patch_size: int | None = None

    def __post_init__(self) -> None:
        _must_be_one_of("interpolation", self.interpolation, _FILTERS)
        _must_be_one_of("crop_mode", self.crop_mode, ("center", "squash", "border"))
        _must_be_one_of("n_channels", self.n_channels, (1, 3))
        _must_be_one_of("scaler", self.scaler, ("pillow", "torch", "torch_float"))
        _must_be_one_of("odd_margin", self.odd_margin, ("even", "down"))
        if self.scaler != "pillow":
            _must_be_one_of("interpolation", self.interpolation, _TORCH_FILTERS)
        self._check_scaled_size()
        if (self.max_patches is None) != (self.patch_size is None):
            raise ValueError(
                f"`max_patches` and `patch_size` must go together; got {self.max_patches} and "
                f"{self.patch_size}. Pass both or neither."
            )
        if not (len(self.mean) == len(self.std) == self.n_channels):
            raise ValueError(
                f"`mean` and `std` must have one number per channel, {self.n_channels}; "
                f"got {len(self.mean)} and {len(self.std)}. Repeat one number if all are equal."
            )

    def __call__(
        self, images: Picture | Sequence[Picture]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Prepares one picture or many.

        Args:
            images: A picture, a list of them, or a uint8 array or tensor of four dimensions.

        Returns:
            Always a batch, float32, on the CPU.

        Raises:
            ImageError: A picture that can't be read, or an array of another type or shape; or
                pictures that keep their shapes, and have several.
        """
        pictures = _as_list(images)
        if not pictures:
            raise ImageError("`images` must hold at least one picture; got none. Pass one.")
        prepared = [self._prepare(as_image(picture)) for picture in pictures]
        shapes = list(dict.fromkeys(tuple(each.shape[1:]) for each in prepared))
        if len(shapes) > 1:
            raise ImageError(
                "Pictures of a batch must have one size, and here each keeps its shape; got "
                f"{shapes[0][0]} x {shapes[0][1]} and {shapes[1][0]} x {shapes[1][1]} pixels. "
                "Prepare them apart."
            )
        return torch.stack(prepared)

    def crop(self, image: Image.Image) -> Image.Image:
        """The part of the picture that the model sees, scaled to `image_size`, in 8 bits."""
        if self.scaler == "pillow":
            return self._crop_by_pillow(self._ready(image))
        levels = self._crop_by_torch(self._ready(image))
        if levels.is_floating_point():
            levels = (levels * 255).round().clamp(0, 255).to(torch.uint8)
        array = levels.permute(1, 2, 0).numpy()
        return Image.fromarray(array if self.n_channels == 3 else array[..., 0])

    def inverse(
        self, pixels: Float[Tensor, "batch channels rows columns"]
    ) -> UInt8[Tensor, "batch rows columns 3"]:
        """The pictures behind prepared tensors, for display: RGB, rounded to 8 bits."""
        mean, std = self._statistics(pixels)
        levels = ((pixels.detach() * std + mean) * 255).round().clamp(0, 255)
        return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).to(torch.uint8)

    def normalize(
        self, levels: UInt8[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Levels of 0..255 on the model's scale, without any scaling or cropping."""
        unit = levels.to(torch.float32) / 255
        mean, std = self._statistics(unit)
        return (unit - mean) / std

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers; `from_json` reads them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Builds what `to_json` wrote."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)

    def _prepare(self, image: Image.Image) -> Float[Tensor, "channels rows columns"]:
        if self.scaler == "torch_float":
            unit = self._crop_by_torch(self._ready(image))[None]
            mean, std = self._statistics(unit)
            return ((unit - mean) / std)[0].contiguous()
        return self.normalize(_levels(self.crop(image))[None])[0].contiguous()

    def _ready(self, image: Image.Image) -> Image.Image:
        """The picture in the model's colors, if it can be scaled within reason."""
        image = image.convert("RGB" if self.n_channels == 3 else "L")
        rows, columns = self._scaled_size(image.height, image.width)
        if rows * columns > _MAX_SCALED_PIXELS:
            raise ImageError(
                f"The image's sides must be of similar length; got {image.width} x "
                f"{image.height} pixels. Crop it first, or set `crop_mode='border'`."
            )
        return image

    def _crop_by_pillow(self, image: Image.Image) -> Image.Image:
        rows, columns = self._scaled_size(image.height, image.width)
        scaled = image.resize((columns, rows), _FILTERS[self.interpolation])
        goal = self._goal(rows, columns)
        canvas = Image.new(image.mode, (goal[1], goal[0]), self._fill())
        top, left = map(self._offset, (rows, columns), goal)
        canvas.paste(scaled, (left, top))
        return canvas

    def _crop_by_torch(self, image: Image.Image) -> Shaped[Tensor, "channels rows columns"]:
        """Levels, or with "torch_float" numbers on a scale where white is 1."""
        white = 1 if self.scaler == "torch" else 255
        pixels = _levels(image) if white == 1 else _levels(image) * (1 / white)
        scaled = self._scale_by_torch(pixels)
        goal = self._goal(*scaled.shape[1:])
        top, left = map(self._offset, scaled.shape[1:], goal)
        fill = torch.tensor(self._fill()).expand(self.n_channels) / white
        canvas = fill.to(scaled)[:, None, None].expand(-1, *goal).clone()
        seen = scaled[:, max(0, -top) :, max(0, -left) :]
        seen = seen[:, : goal[0], : goal[1]]
        top, left = max(0, top), max(0, left)
        canvas[:, top : top + seen.shape[1], left : left + seen.shape[2]] = seen
        return canvas

    def _scale_by_torch(
        self, pixels: Shaped[Tensor, "channels rows columns"]
    ) -> Shaped[Tensor, "channels _ _"]:
        size = self._scaled_size(*pixels.shape[1:])
        if tuple(pixels.shape[1:]) == size:
            return pixels
        smooth = self.interpolation != "nearest"
        scaled = functional.interpolate(
            pixels[None],
            size,
            mode=self.interpolation if smooth else "nearest-exact",
            align_corners=False if smooth else None,
            antialias=smooth,
        )
        return scaled[0]

    def _goal(self, rows: int, columns: int) -> tuple[int, int]:
        """The size of what comes out, of a scaled picture of that size."""
        return self.image_size if self.max_patches is None else (rows, columns)

    def _scaled_size(self, rows: int, columns: int) -> tuple[int, int]:
        if self.max_patches is not None and self.patch_size is not None:
            return size_within(rows, columns, self.patch_size, self.max_patches)
        if isinstance(self.scaled_size, tuple):
            return self.scaled_size
        if self.scaled_size is not None:
            return _shorter_side_to(self.scaled_size, rows, columns)
        goal_rows, goal_columns = (
            math.floor(side / self.crop_fraction) for side in self.image_size
        )
        if self.crop_mode == "squash":
            return goal_rows, goal_columns
        if self.crop_mode == "center" and goal_rows == goal_columns:
            return _shorter_side_to(goal_rows, rows, columns)
        ratios = rows / goal_rows, columns / goal_columns
        ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
        return max(1, round(rows / ratio)), max(1, round(columns / ratio))

    def _offset(self, scaled: int, wanted: int) -> int:
        if wanted > scaled:
            return (wanted - scaled) // 2
        # "even" rounds twice, as torchvision does: filled up downward, but cut to even.
        half = (scaled - wanted) / 2
        return -round(half) if self.odd_margin == "even" else -math.floor(half)

    def _check_scaled_size(self) -> None:
        size = self.scaled_size
        sides = (size, size) if isinstance(size, int) else size
        if sides is not None and any(s < w for s, w in zip(sides, self.image_size, strict=True)):
            raise ValueError(
                f"`scaled_size` must hold a crop of {self.image_size[0]} x {self.image_size[1]} "
                f"pixels; got {size}. Pass a larger one."
            )

    def _fill(self) -> int | tuple[int, ...]:
        if self.crop_mode != "border":
            return 0
        levels = tuple(
            round(255 * level) if self.fill is None else self.fill for level in self.mean
        )
        return levels if self.n_channels == 3 else levels[0]

    def _statistics(
        self, pixels: Float[Tensor, "batch channels rows columns"]
    ) -> tuple[Float[Tensor, "channels 1 1"], Float[Tensor, "channels 1 1"]]:
        mean, std = (
            torch.tensor(values, dtype=pixels.dtype, device=pixels.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        return mean, std


def as_image(picture: Picture) -> Image.Image:
    """Any kind of picture as an 8-bit gray or RGB image."""
    if isinstance(picture, Image.Image):
        return to_eight_bit(picture)
    if isinstance(picture, Tensor):
        array = picture.detach().cpu().numpy()
        return _image_of(np.moveaxis(array, 0, -1) if array.ndim == 3 else array, "tensor")
    if isinstance(picture, np.ndarray):
        return _image_of(picture, "array")
    return open_image(picture)


def _image_of(array: np.ndarray, kind: str) -> Image.Image:
    if array.dtype != np.uint8:
        raise ImageError(
            f"A picture in a {kind} must have uint8 levels of 0..255; got {array.dtype}. "
            "Convert it, or give a prepared tensor to the model itself."
        )
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        form = "(channels, rows, columns)" if kind == "tensor" else "(rows, columns, channels)"
        raise ImageError(
            f"A picture in a {kind} must have the form {form} with 1, 3 or 4 channels; "
            f"got {'x'.join(map(str, array.shape))} (channels last). Permute it."
        )
    if 0 in array.shape:
        raise ImageError("A picture must have at least one pixel; got none. Check the array.")
    return to_eight_bit(Image.fromarray(np.ascontiguousarray(array)))


def _as_list(images: Picture | Sequence[Picture]) -> list[Picture]:
    if isinstance(images, np.ndarray | Tensor):
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, list | tuple):
        return list(images)
    return [images]  # pyright: ignore[reportReturnType]  # a path is a sequence of strings, too


def _levels(image: Image.Image) -> UInt8[Tensor, "channels rows columns"]:
    levels = torch.from_numpy(np.array(image))
    return levels[None] if levels.ndim == 2 else levels.permute(2, 0, 1)


def _shorter_side_to(length: int, rows: int, columns: int) -> tuple[int, int]:
    longer = int(length * max(rows, columns) / min(rows, columns))
    return (longer, length) if columns <= rows else (length, longer)


def _must_be_one_of(field: str, value: object, allowed: Sequence[object] | dict[str, Any]) -> None:
    if value not in allowed:
        words = ", ".join(str(word) for word in allowed)
        raise ValueError(f"`{field}` must be one of {words}; got {value!r}. Choose one of them.")
