"""What an image processor of transformers does, and what a config calls its classes."""

import copy
import re
from typing import Any

from vitreous._optional import needs
from vitreous.data import ClassNames, Preprocessing, recognized_names
from vitreous.models._config import HookedViTConfig
from vitreous.models.adapters._parts import unsupported

# A pass of their own that keeps a picture's shape and cuts it into patches.
_SHAPED = ("Siglip2ImageProcessor", "Siglip2ImageProcessorPil")
# Classes with steps of their own that are the common ones, but for what pictures don't need, and
# but for ViViT's offset, which is read apart.
_SAME: dict[str, list[str]] = {
    "BeitImageProcessor": ["_preprocess"],
    "BeitImageProcessorPil": ["_preprocess"],
    "VideoMAEImageProcessor": ["_preprocess"],
    "VideoMAEImageProcessorPil": ["_preprocess"],
    "VideoMAEVideoProcessor": ["_preprocess"],
    "TimesformerVideoProcessor": ["_preprocess"],
    "VivitVideoProcessor": ["_preprocess", "rescale_and_normalize"],
} | {name: ["_preprocess"] for name in _SHAPED}
# One that derives from neither backend, and scales by Pillow.
_OLD = "VivitImageProcessor"
# A pass that scales numbers and not 8-bit levels.
_FLOATS = ("DINOv3ViTImageProcessor",)
_STEPS = ("_preprocess", "resize", "center_crop", "rescale", "normalize", "rescale_and_normalize")
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_TORCH_FILTERS = ("nearest", "bilinear", "bicubic")


def preprocessing_of(processor: Any, cfg: HookedViTConfig) -> Preprocessing:
    """The same steps, number by number.

    Args:
        processor: An image processor, or a processor that has one.
        cfg: Of the model, whose image size the processor must give.

    Raises:
        UnsupportedModelError: A step that `Preprocessing` can't represent.
    """
    processor = getattr(processor, "image_processor", processor)
    scaler = _scaler(processor)
    filter_ = _FILTERS.get(int(processor.resample), str(processor.resample))
    if filter_ not in (_TORCH_FILTERS if scaler != "pillow" else _FILTERS.values()):
        raise unsupported(f"`resample` must be a filter that `{scaler}` has; got {filter_!r}")
    if getattr(processor, "do_pad", None):
        raise unsupported("`do_pad` must be off, since images have one size; got True")
    mean, std = _statistics(processor, cfg.n_channels)
    if type(processor).__name__ in _SHAPED:
        return Preprocessing(
            cfg.image_shape,
            mean,
            std,
            interpolation=filter_,
            n_channels=cfg.n_channels,
            scaler=scaler,
            max_patches=processor.max_num_patches,
            patch_size=_patch_size(processor, cfg),
        )
    scaled, cropped = _sizes(processor)
    if cropped != cfg.image_shape:
        raise unsupported(
            f"An image processor must give {cfg.image_shape[0]} x {cfg.image_shape[1]} pixels, "
            f"which the model takes; got {cropped[0]} x {cropped[1]}"
        )
    return Preprocessing(
        cropped,
        mean,
        std,
        interpolation=filter_,
        n_channels=cfg.n_channels,
        scaled_size=scaled,
        scaler=scaler,
        odd_margin="down",
    )


def _patch_size(processor: Any, cfg: HookedViTConfig) -> int:
    """The side of the patches that a picture is cut into, whose shape is kept."""
    position = cfg.position
    takes_any = position is not None and position.resample is not None and position.resample.always
    if not processor.do_resize or not takes_any or cfg.patch_shape != (processor.patch_size,) * 2:
        raise unsupported(
            "An image processor that keeps shapes must resize, for a model of any image size with "
            f"patches of {processor.patch_size} pixels; got do_resize={processor.do_resize} and "
            f"patches of {cfg.patch_shape[0]} x {cfg.patch_shape[1]}"
        )
    return processor.patch_size


def at_size(processor: Any, image_size: tuple[int, int]) -> Any:
    """A processor that gives images of another size, cut out of as large a share of the picture."""
    changed = copy.deepcopy(getattr(processor, "image_processor", processor))
    if type(changed).__name__ in _SHAPED:
        return changed  # and is refused with a model of one size
    rows, columns = image_size
    size, crop = _plain(changed.size), _plain(getattr(changed, "crop_size", None) or {})
    if not getattr(changed, "do_center_crop", None):
        changed.size = {"height": rows, "width": columns}
        return changed
    growth = max(rows / crop["height"], columns / crop["width"])
    changed.size = {side: round(length * growth) for side, length in size.items()}
    changed.crop_size = {"height": rows, "width": columns}
    return changed


def _scaler(processor: Any) -> Any:
    """Which library scales, and what numbers."""
    backends = needs("transformers.image_processing_backends", extra="hf", feature='load("hf:...")')
    kind = type(processor)
    by_torch = isinstance(processor, backends.TorchvisionBackend)
    base = backends.TorchvisionBackend if by_torch else backends.PilBackend
    if kind.__name__ == _OLD and kind.__module__.startswith("transformers."):
        return "pillow"
    if not isinstance(processor, base) or not kind.__module__.startswith("transformers."):
        raise unsupported(
            f"An image processor must be one of transformers'; got a `{kind.__name__}`"
        )
    own = [step for step in _STEPS if getattr(kind, step, None) is not getattr(base, step, None)]
    if own == ["_preprocess"] and kind.__name__ in _FLOATS:
        return "torch_float"
    if own and own != _SAME.get(kind.__name__):
        raise unsupported(
            f"An image processor must scale, crop and normalize and nothing else; got "
            f"`{kind.__name__}` with a `{own[0]}` of its own"
        )
    return "torch" if by_torch else "pillow"


def _sizes(processor: Any) -> tuple[Any, tuple[int, int]]:
    """What a picture is scaled to, rows and columns or its shorter side; and what is cut out."""
    size = _plain(processor.size) if processor.do_resize else {}
    crop = _plain(processor.crop_size) if getattr(processor, "do_center_crop", None) else {}
    if set(size) == {"shortest_edge"}:
        scaled: Any = size["shortest_edge"]
        sides = (scaled, scaled)
    elif set(size) == {"height", "width"}:
        scaled = sides = (size["height"], size["width"])
    else:
        raise unsupported(
            "`size` must have `height` and `width`, or `shortest_edge` alone, with `do_resize`; "
            f"got {size or 'no resizing'}"
        )
    if isinstance(scaled, int) and not crop:
        raise unsupported("`shortest_edge` must go with `do_center_crop`; got images of any size")
    cropped = (crop["height"], crop["width"]) if crop else sides
    if any(wanted > side for wanted, side in zip(cropped, sides, strict=True)):
        raise unsupported(f"`crop_size` must not be larger than `size`; got {crop} and {size}")
    return scaled, cropped


def _plain(size: Any) -> dict[str, int]:
    return {key: value for key, value in dict(size).items() if value is not None}


def _statistics(processor: Any, n_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation on a scale where white is 1, whatever the source's scale is."""
    white = 255 * processor.rescale_factor if processor.do_rescale else 255.0
    mean = _per_channel(processor.image_mean if processor.do_normalize else 0.0, n_channels)
    std = _per_channel(processor.image_std if processor.do_normalize else 1.0, n_channels)
    # ViViT's take one off what was rescaled.
    is_shifted = getattr(processor, "offset", type(processor).__name__ == "VivitVideoProcessor")
    less = float(is_shifted and processor.do_rescale)
    return tuple((m + less) / white for m in mean), tuple(s / white for s in std)


def _per_channel(values: Any, n_channels: int) -> tuple[float, ...]:
    listed = (values,) * n_channels if isinstance(values, int | float) else tuple(values)
    if len(listed) != n_channels:
        raise unsupported(
            f"`image_mean` and `image_std` must have a number per channel, {n_channels}; got "
            f"{len(listed)}"
        )
    return listed


def labels_of(config: Any, cfg: HookedViTConfig) -> ClassNames | None:
    """The names of the config's classes, unless they are stopgaps or of another head."""
    by_index = getattr(config, "id2label", None) or {}
    names = tuple(str(by_index.get(i)) for i in range(cfg.n_classes or 0))
    if not names or len(by_index) != len(names) or None in map(by_index.get, range(len(names))):
        return None
    return (
        None if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else recognized_names(names)
    )
