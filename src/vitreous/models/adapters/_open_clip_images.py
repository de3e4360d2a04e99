"""How an image tower's images were prepared, by open_clip's own record."""

from dataclasses import asdict, is_dataclass
from typing import Any

from vitreous.data import Preprocessing
from vitreous.models._config import HookedViTConfig

_CROP_MODES: dict[str, Any] = {"shortest": "center", "longest": "border", "squash": "squash"}


def preprocessing_of(module: Any, processor: Any, cfg: HookedViTConfig) -> Preprocessing | None:
    """The evaluation transform that open_clip would use, at the model's image size.

    None where neither the tower has a record (`preprocess_cfg`) nor the caller.
    """
    record = processor or getattr(module, "preprocess_cfg", None)
    if not record:
        return None
    known = _fields(record)
    mode = known["resize_mode"] or "shortest"
    rows, columns = cfg.image_shape
    # open_clip scales to a shape that isn't square by its default filter, whatever the record.
    is_bilinear = known["interpolation"] == "bilinear" and (mode != "shortest" or rows == columns)
    return Preprocessing(
        (rows, columns),
        _triple(known["mean"]),
        _triple(known["std"]),
        interpolation="bilinear" if is_bilinear else "bicubic",
        crop_fraction=1.0,
        crop_mode=_CROP_MODES[mode],
        fill=known["fill_color"],
    )


def _fields(record: Any) -> dict[str, Any]:
    plain = asdict(record) if is_dataclass(record) and not isinstance(record, type) else record
    if not isinstance(plain, dict) or not {"mean", "std"} <= plain.keys():
        raise TypeError(
            "`processor` of an open_clip tower must be a `PreprocessCfg` or its fields as a dict; "
            f"got {type(record).__name__}. Pass `clip.visual.preprocess_cfg`."
        )
    return {"resize_mode": "shortest", "interpolation": "bicubic", "fill_color": 0} | plain


def _triple(value: Any) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * 3
