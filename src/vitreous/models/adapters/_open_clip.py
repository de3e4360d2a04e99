"""open_clip's image towers, from a name or from a module.

What comes out is the embedding as it is projected, of whatever length: `encode_image(x)` of the
source, not `encode_image(x, normalize=True)`.
"""

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import UnsupportedModelError
from vitreous._optional import needs
from vitreous.models._pooling import Head
from vitreous.models._saving import load_tensors
from vitreous.models._vit import HookedViT
from vitreous.models.adapters import _timm
from vitreous.models.adapters._open_clip_blocks import parts
from vitreous.models.adapters._open_clip_config import read_config, weights
from vitreous.models.adapters._open_clip_images import preprocessing_of
from vitreous.models.adapters._open_clip_source import Source, find, image_weights
from vitreous.models.adapters._options import LoadOptions
from vitreous.models.adapters._parts import (
    check_untouched,
    exactly,
    filled,
    placement,
    unsupported,
)

# ---- from a name

OPTIONS = frozenset({"weights", "revision", "cache_dir", "local_files_only", "image_size"})


def load(name: str, options: LoadOptions) -> HookedViT:
    """Loads the image tower of `ARCH/TAG`, `hf-hub:ORG/NAME` or `local-dir:PATH`.

    With a file of weights, the tag says how images are prepared, and may be left out.
    """
    source = find(name, options)
    tower = build(source, options.image_size)
    _refuse(tower)  # before anything is downloaded
    file = options.weights or source.fetch()
    _fill(tower, image_weights(file), file.name)
    if options.image_size is not None and source.is_timm:
        tower.set_input_size(options.image_size)
    record = source.preprocessing | {"size": tower.image_size}
    model = convert(tower.to(options.dtype), record)
    where = source.where if options.weights is None else file.name
    model.card["source"] = f"open_clip {_library('open_clip').__version__}, {where}"
    return model


def build(source: Source, image_size: tuple[int, int] | None = None) -> Any:
    """The tower of a configuration, with random weights."""
    vision = copy.deepcopy(source.vision)
    if source.is_timm:
        vision["timm_model_pretrained"] = False
    elif image_size is not None:
        vision["image_size"] = image_size
    return _library("open_clip.model")._build_vision_tower(
        source.embed_dim, vision, source.quick_gelu
    )


def _fill(tower: Any, tensors: dict[str, Tensor], file: str) -> None:
    """Loads a tower's weights as open_clip itself does: other formats, another image size."""
    clip = SimpleNamespace(visual=tower)
    named = {
        f"visual.{name}": tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    _library("open_clip.model").resize_pos_embed(named, clip)
    load_tensors(tower, {name.removeprefix("visual."): x for name, x in named.items()}, f"`{file}`")


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible for a module of a class of open_clip's."""
    return True


def convert(module: Any, processor: Any = None) -> HookedViT:
    """A `HookedViT` with a copy of an image tower's weights, equal to it in evaluation mode.

    LayerScale is folded into the output weights in float32 and better, and a gain of its own
    below that.

    Args:
        module: `clip.visual`.
        processor: A `PreprocessCfg`, or its fields as a dict, where the tower has no record.

    Raises:
        UnsupportedModelError: A feature that `HookedViT` lacks, or no image tower.
    """
    _refuse(module)
    if isinstance(module, _timm_model()):
        model = _convert_timm(module)
    else:
        place, name = placement(module), f"`{type(module).__name__}`"
        model = filled(read_config(module), weights(module), place, name)
    model.labels = None
    model.preprocessing = preprocessing_of(module, processor, model.cfg)
    version = _library("open_clip").__version__
    model.card["source"] = f"open_clip {version}, a {type(module).__name__}"
    return model


def _refuse(module: Any) -> None:
    if hasattr(module, "visual"):
        raise UnsupportedModelError(
            f"`from_module` takes one tower; got a whole {type(module).__name__}. "
            "Pass its image tower, `module.visual`."
        )
    exactly(module, "module", parts().VisionTransformer, _timm_model())
    if isinstance(module, _timm_model()):
        _refuse_timm(module)
    else:
        read_config(module)


def _timm_model() -> type:
    return _library("open_clip.timm_model").TimmModel


def _library(module: str) -> Any:
    return needs(module, extra="clip", feature='load("open_clip:...")')


def _refuse_timm(module: Any) -> None:
    """A trunk of timm's, pooled by itself, and at most one linear layer behind it."""
    check_untouched(module)
    exactly(module.head, "head", nn.Sequential)
    for name, part in module.head.named_children():
        if type(part) not in (nn.Dropout, nn.Linear):
            feature = {"mlp": "an MLP", "pool": "attention pooling over a grid"}.get(name, "a part")
            raise unsupported(
                f"Behind the trunk there must be a linear layer or nothing; got {feature}, a "
                f"`{type(part).__name__}` at `head.{name}`"
            )
    if not _timm.converts(module.trunk):
        raise unsupported(
            f"The trunk must be a vision transformer; got a `{type(module.trunk).__name__}`"
        )


@torch.no_grad()
def _convert_timm(module: Any) -> HookedViT:
    model = _timm.convert(module.trunk)
    linear = getattr(module.head, "proj", None)
    if linear is None:
        return model
    if model.cfg.n_classes is not None:
        raise unsupported("The trunk must have no head of its own; got one beside `head.proj`")
    device, dtype = placement(module)
    model.cfg = model.cfg.replace(n_classes=linear.out_features, head_bias=linear.bias is not None)
    model.head = Head(model.cfg).to(device, dtype)
    for head in (model.head.linear, model.head.distillation):
        if head is not None:
            head.load_state_dict(linear.state_dict())
    return model
