"""Which tokens a model makes of images of some size."""

from typing import Any

from torch import Tensor

from vitreous.models._config import HookedViTConfig
from vitreous.models._layout import TokenLayout


def layout_of(
    cfg: HookedViTConfig, grid: tuple[int, int, int], *, has_grid: bool = True
) -> TokenLayout:
    """The tokens of a model whose patches have that many frames, rows and columns.

    Without `has_grid` only their number is known.
    """
    readouts = {
        "cls": "cls", "cls_mean": "cls_patches", "mean": "patches", "map": "patches",
        "first": "first",
    }  # fmt: skip
    readout = readouts.get(cfg.pooling.kind, "all")
    if cfg.pooling.counts_prefix and cfg.pooling.kind not in ("cls", "first"):
        readout = "all"
    (rows, columns), (height, width) = cfg.image_shape, cfg.patch_shape
    is_configured = grid == cfg.places and has_grid
    margin = (rows % height, columns % width) if is_configured else (0, 0)
    return TokenLayout(
        int(cfg.cls_token), int(cfg.distillation_token), cfg.n_registers,
        grid, cfg.patch_shape, readout, margin, has_grid, cfg.tubelet,
    )  # fmt: skip


def grid_for(cfg: HookedViTConfig, images: Any) -> tuple[int, int, int]:
    """The patch frames, rows and columns of images or clips, or why they are none for a model."""
    shape = list(images.shape) if isinstance(images, Tensor) else None
    sizes = [cfg.n_frames, cfg.n_channels] if cfg.takes_clips else [cfg.n_channels]
    if shape is None or len(shape) != 3 + len(sizes) or shape[1:-2] != sizes:
        words = f"{cfg.n_frames} frames, " if cfg.takes_clips else ""
        raise ValueError(
            f"`images` must be [{'clips' if cfg.takes_clips else 'images'}, {words}"
            f"{cfg.n_channels} channels, rows, columns]; got "
            f"{type(images).__name__ if shape is None else f'shape {shape}'}. "
            "Use `model.preprocess(image)`."
        )
    if not images.is_floating_point():
        raise ValueError(
            f"`images` must be floating-point; got {str(images.dtype).removeprefix('torch.')}. "
            "Use `model.preprocess(image)`."
        )
    if tuple(shape[-2:]) == cfg.image_shape:
        return cfg.places
    (rows, columns), (height, width) = cfg.image_shape, cfg.patch_shape
    fits = shape[-2] % height == 0 and shape[-1] % width == 0 and 0 not in shape[-2:]
    if has_fixed_grid(cfg) or not fits:
        can_resample = fits and not (cfg.stem or has_fixed_tokens(cfg))
        other = ", or `vt.models.resample_positions(model)` for any size" * can_resample
        raise ValueError(
            f"Images must be {rows} x {columns} pixels for this model; got "
            f"{shape[-2]} x {shape[-1]}. Use `model.preprocess(image)`{other}."
        )
    return cfg.places[0], shape[-2] // height, shape[-1] // width


def has_fixed_grid(cfg: HookedViTConfig) -> bool:
    """Whether something is held for each patch of the configured size."""
    position = cfg.position
    learned = position is not None and position.kind == "learned"
    resampled = position is not None and position.resample is not None and position.resample.always
    return (learned and not resampled) or cfg.stem or has_fixed_tokens(cfg)


def has_fixed_tokens(cfg: HookedViTConfig) -> bool:
    """Whether what blocks do depends on where each token is."""
    attention = cfg.attention
    return attention.rotary is not None or attention.relative_bias or cfg.divides_space_time
