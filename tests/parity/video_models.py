"""Small random video models of transformers: classes, configurations and clips."""

from typing import Any

import torch
import transformers
from torch import Tensor

from tests.parity.transformers_models import random_of

SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 16,
    "num_labels": 5,
}
VIVIT = SIZES | {"num_frames": 6, "tubelet_size": [2, 8, 8]}
MAE = SIZES | {"num_frames": 4, "tubelet_size": 2, "patch_size": 8}
TIMES = SIZES | {"num_frames": 3, "patch_size": 8}
JOINT = {"attention_type": "joint_space_time"}
SPACE = {"attention_type": "space_only"}

# A class and its configuration. Together they have every part.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "vivit": ("VivitModel", VIVIT),
    "vivit, not square": (
        "VivitModel",
        VIVIT | {"image_size": (16, 12), "tubelet_size": [3, 8, 4], "qkv_bias": False},
    ),
    "vivit classifier": ("VivitForVideoClassification", VIVIT),
    "vivit classifier, quick_gelu": (
        "VivitForVideoClassification",
        VIVIT | {"hidden_act": "quick_gelu", "tubelet_size": [1, 8, 8], "layer_norm_eps": 1e-3},
    ),
    "videomae": ("VideoMAEModel", MAE),
    "videomae, first token": ("VideoMAEModel", MAE | {"use_mean_pooling": False}),
    "videomae classifier": ("VideoMAEForVideoClassification", MAE),
    "videomae classifier, first token": (
        "VideoMAEForVideoClassification",
        MAE | {"use_mean_pooling": False, "qv_bias": False, "tubelet_size": 1},
    ),
    "videomae classifier, not square": (
        "VideoMAEForVideoClassification",
        MAE | {"image_size": (16, 24), "patch_size": (4, 8), "num_channels": 1},
    ),
    "videomae, no classes": ("VideoMAEForVideoClassification", MAE | {"num_labels": 0}),
    "timesformer": ("TimesformerModel", TIMES),
    "timesformer, joint": ("TimesformerModel", TIMES | JOINT),
    "timesformer, space": ("TimesformerModel", TIMES | SPACE),
    "timesformer classifier": (
        "TimesformerForVideoClassification",
        TIMES | {"num_frames": 4, "patch_size": 4},
    ),
    "timesformer classifier, no qkv bias": (
        "TimesformerForVideoClassification",
        TIMES | {"qkv_bias": False, "layer_norm_eps": 1e-3, "hidden_act": "relu"},
    ),
    "timesformer classifier, one frame": (
        "TimesformerForVideoClassification",
        TIMES | {"num_frames": 1},
    ),
    "timesformer classifier, joint": ("TimesformerForVideoClassification", TIMES | JOINT),
    "timesformer classifier, space": ("TimesformerForVideoClassification", TIMES | SPACE),
}


def config_class(name: str) -> Any:
    """The class of a model's configuration."""
    return getattr(transformers, name).config_class


def random_model(case: str) -> Any:
    """A small model in which every weight is random."""
    name, fields = CASES[case]
    return random_of(getattr(transformers, name)(config_class(name)(**fields)))


def whole(name: str) -> Any:
    """A model of a class as its config's defaults make it, without memory for its weights."""
    with torch.device("meta"):
        return getattr(transformers, name)(config_class(name)())


def random_inputs(module: Any, count: int = 2) -> Tensor:
    """What our model takes: clips, or images where that is all there is."""
    config = module.config
    size = config.image_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    alone = config.num_frames == 1 or getattr(config, "attention_type", "") == "space_only"
    frames = () if alone else (config.num_frames,)
    shape = (count, *frames, config.num_channels, *size)
    return torch.randn(shape, dtype=torch.float64).to(next(module.parameters()).dtype)
