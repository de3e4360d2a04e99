"""Which tokens a model makes of images of some size."""

from typing import Any

from torch import Tensor

from vitreous.models._config import HookedViTConfig
from vitreous.models._layout import TokenLayout


def layout_of(cfg: HookedViTConfig, grid: tuple[int, int], *, has_grid: bool = True) -> TokenLayout:
    """The tokens of a model whose patches have that many rows and columns.

    Without `has_grid` only their number is known.
    """
    readouts = {"cls": "cls", "cls_mean": "cls_patches", "mean": "patches", "map": "patches"}
    readout = readouts.get(cfg.pooling.kind, "all")
    if cfg.pooling.counts_prefix and cfg.pooling.kind != "cls":
        readout = "all"
    (rows, columns), (height, width) = cfg.image_shape, cfg.patch_shape
    is_configured = grid == cfg.grid and has_grid
    margin = (rows % height, columns % width) if is_configured else (0, 0)
    return TokenLayout(
        int(cfg.cls_token), int(cfg.distillation_token), cfg.n_registers,
        (1, *grid), cfg.patch_shape, readout, margin, has_grid,
    )  # fmt: skip


def grid_for(cfg: HookedViTConfig, images: Any) -> tuple[int, int]:
    """The patch rows and columns of images, or why they are none for this model."""
    shape = list(images.shape) if isinstance(images, Tensor) else None
    if shape is None or len(shape) != 4 or shape[1] != cfg.n_channels:
        raise ValueError(
            f"`images` must be [images, {cfg.n_channels} channels, rows, columns]; got "
            f"{type(images).__name__ if shape is None else f'shape {shape}'}. "
            "Use `model.preprocess(image)`."
        )
    if not images.is_floating_point():
        raise ValueError(
            f"`images` must be floating-point; got {str(images.dtype).removeprefix('torch.')}. "
            "Use `model.preprocess(image)`."
        )
    if tuple(shape[2:]) == cfg.image_shape:
        return cfg.grid
    (rows, columns), (height, width) = cfg.image_shape, cfg.patch_shape
    fits = shape[2] % height == 0 and shape[3] % width == 0 and 0 not in shape[2:]
    if has_fixed_grid(cfg) or not fits:
        can_resample = fits and not (cfg.stem or has_fixed_tokens(cfg))
        other = ", or `vt.models.resample_positions(model)` for any size" * can_resample
        raise ValueError(
            f"Images must be {rows} x {columns} pixels for this model; got "
            f"{shape[2]} x {shape[3]}. Use `model.preprocess(image)`{other}."
        )
    return shape[2] // height, shape[3] // width


def has_fixed_grid(cfg: HookedViTConfig) -> bool:
    """Whether something is held for each patch of the configured size."""
    position = cfg.position
    learned = position is not None and position.kind == "learned"
    resampled = position is not None and position.resample is not None and position.resample.always
    return (learned and not resampled) or cfg.stem or has_fixed_tokens(cfg)


def has_fixed_tokens(cfg: HookedViTConfig) -> bool:
    """Whether blocks hold something for each token."""
    return cfg.attention.rotary is not None or cfg.attention.relative_bias
