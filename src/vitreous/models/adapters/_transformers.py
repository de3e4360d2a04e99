"""The vision transformers of transformers, from a name, a folder or a module.

ViT (DINO's too), DeiT, ViT-MAE, DINOv2 and DINOv3, BEiT, the image towers of CLIP, SigLIP and
SigLIP 2, and of videos ViViT, VideoMAE and TimeSformer. What is read is what the class gives as
logits or embeddings. Bare models give their normalized class token (`last_hidden_state[:, 0]`; BEiT
as its config says, SigLIP what its head pools): the dense layer with a tanh that some have behind
it is a remnant of pretraining and no part of the readout. A model of two towers gives its image
tower, with CLIP's projection.

ViT-MAE hides patches at random wherever it is run; here it sees all of them, in reading order:
the source at `mask_ratio=0`, whose tokens come in the order of its noise and are these once that is
undone. Hidden patches are those that a stream lacks, `model(stream[:, kept], start_at_layer=0)`;
the decoder that fills them in is not represented.

SigLIP 2 (NaFlex) takes padded lists of patches of images of any shape. Here it takes images whose
sides are multiples of the patch size, those of one batch alike, without padding: what comes out is
what the source gives with `pixel_attention_mask` and `spatial_shapes` at the tokens that are there.
A distillation token that no head reads is a register here.

Tokens of clips stand by frame, row and column; TimeSformer's own order is by row, column and frame.
The second linear map behind its attention over time is multiplied into the first, in float64. Where
it attends to space alone, frames are images of their own: the model takes those.

`image_size` gives a model what the source does when it is told `interpolate_pos_encoding` (or does
unasked: DINOv2, DINOv3, BEiT, SigLIP 2) on images of that size.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import WeightsError
from vitreous.models._config import HookedViTConfig
from vitreous.models._saving import check_names
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions, Weights
from vitreous.models.adapters._parts import filled, placement, unsupported
from vitreous.models.adapters._transformers_config import (
    READOUTS,
    check_module,
    read_config,
    transformers_module,
)
from vitreous.models.adapters._transformers_correspondence import correspondence as correspondence
from vitreous.models.adapters._transformers_files import repository
from vitreous.models.adapters._transformers_images import labels_of, preprocessing_of
from vitreous.models.adapters._transformers_resize import resized
from vitreous.models.adapters._transformers_videos import tables
from vitreous.models.adapters._transformers_weights import assembled, is_unread, placed

OPTIONS = frozenset({"weights", "revision", "cache_dir", "local_files_only", "image_size"})

# ---- from a name


def load(name: str, options: LoadOptions) -> Loaded:
    """Loads a model from a folder, from the hub, or from a file of weights.

    Args:
        name: A folder that transformers' `save_pretrained` made, or `ORGANIZATION/REPOSITORY`.
        options: `weights` may lie beside a `config.json` of their own, which then counts.
    """
    transformers_module()
    files = repository(name, options)
    raw = files.read_weights() if options.tensors is None else options.tensors
    given = Weights(raw, files.source)
    model, module = _described(files.config(frozenset(_CLASSES)), given, options)
    model.preprocessing = files.preprocessing(model.cfg, options.image_size)
    return Loaded(model, lambda: original(module, raw, files.source))


def load_config(config: Any, options: LoadOptions) -> HookedViT:
    """The model of a configuration in memory, with `options.tensors` as its weights."""
    given = Weights(options.tensors or {}, "the state dict")
    return _described(_known(config), given, options)[0]


def describe(name: str, options: LoadOptions) -> HookedViTConfig:
    """What a model from a folder or the hub is made of."""
    return describe_config(repository(name, options).config(frozenset(_CLASSES)))


def describe_config(config: Any) -> HookedViTConfig:
    """What the model of a configuration is made of, of the class that it names itself."""
    config = _known(config)
    own = [each for each in config.architectures or () if each in READOUTS]
    name = own[0] if own else _CLASSES[config.model_type][0]
    whole = name in ("CLIPModel", "SiglipModel", "Siglip2Model") or "Classification" in name
    with torch.device("meta"):
        module = getattr(transformers_module(), name)(config if whole else _tower(config))
    return read_config(module, placed(module.state_dict())[0] | tables(module))


def _known(config: Any) -> Any:
    """A copy of a configuration of one of the known types."""
    model_type = getattr(config, "model_type", None)
    if model_type not in _CLASSES:
        raise unsupported(
            f"`model_type` of a configuration must be one of {', '.join(sorted(_CLASSES))}; got "
            f"{model_type!r}"
        )
    return copy.deepcopy(config)


def _tower(config: Any) -> Any:
    return getattr(config, "vision_config", config)


def _described(config: Any, given: Weights, options: LoadOptions) -> tuple[HookedViT, Any]:
    """The model of a configuration with these weights, and the library's module without them."""
    source = given.where
    tensors, names, unknown = placed(given.tensors)
    module = _skeleton(config, tensors, options.dtype)
    expected, expected_names, _ = placed(module.state_dict())
    unknown += [names[place] for place in tensors if place not in expected]
    missing = [expected_names[place] for place in expected if place not in tensors]
    check_names(source, missing, unknown)
    for place, tensor in tensors.items():
        _check_fit(source, names[place], tensor, expected[place])
    converted = {place: tensor.to(options.dtype) for place, tensor in tensors.items()}
    place = torch.device("cpu"), options.dtype
    model = _build(module, converted, place, source, options.image_size)
    model.card["source"] = f"transformers {transformers_module().__version__}, {source}"
    return model, module


def original(skeleton: Any, weights: dict[str, Tensor], source: str) -> Any:
    """The library's own module, which reads the names of the weights by itself.

    Args:
        skeleton: A module of the class and configuration, without weights.
        weights: By the names that they have in the files.
        source: What a message calls them.

    Raises:
        WeightsError: transformers doesn't find all of them.
    """
    with _quiet():
        module, found = type(skeleton).from_pretrained(
            None, config=skeleton.config, state_dict=weights, output_loading_info=True
        )
    missing = sorted(name for name in found["missing_keys"] if not is_unread(name))
    if missing:
        raise WeightsError(
            f"transformers itself must find all weights of {source}, or there is nothing to "
            f"compare with; it lacks {len(missing)}, first `{missing[0]}`. Save the model anew "
            "with the installed version of transformers."
        )
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no report of weights that nobody reads."""
    logging = transformers_module("transformers.utils.logging")
    shows_bar, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows_bar:
            logging.enable_progress_bar()


# The class of a model's type, by what its weights have: a plain tower, or a head.
_CLASSES = {
    "vit": ("ViTModel", "ViTForImageClassification"),
    "deit": ("DeiTModel", "DeiTForImageClassification"),
    "vit_mae": ("ViTMAEModel", None),
    "dinov2": ("Dinov2Model", "Dinov2ForImageClassification"),
    "dinov2_with_registers": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersForImageClassification",
    ),
    "dinov3_vit": ("DINOv3ViTModel", None),
    "beit": ("BeitModel", "BeitForImageClassification"),
    "clip": ("CLIPVisionModel", "CLIPForImageClassification"),
    "clip_vision_model": ("CLIPVisionModel", None),
    "siglip": ("SiglipVisionModel", "SiglipForImageClassification"),
    "siglip_vision_model": ("SiglipVisionModel", None),
    "siglip2": ("Siglip2VisionModel", "Siglip2ForImageClassification"),
    "siglip2_vision_model": ("Siglip2VisionModel", None),
    "vivit": ("VivitModel", "VivitForVideoClassification"),
    "videomae": ("VideoMAEModel", "VideoMAEForVideoClassification"),
    "timesformer": ("TimesformerModel", "TimesformerForVideoClassification"),
}


def _skeleton(config: Any, tensors: dict[str, Tensor], dtype: torch.dtype) -> Any:
    """The module that the weights belong to, without memory for its own."""
    plain, classifier = _CLASSES[config.model_type]
    head = tensors.get("head.linear.weight")
    has_bias = "head.linear.bias" in tensors
    name, tower = plain, _tower(config)
    if "head.distillation.weight" in tensors:
        name = "DeiTForImageClassificationWithTeacher"
    elif head is not None and plain == "CLIPVisionModel" and not has_bias:
        name = "CLIPVisionModelWithProjection"
        tower.projection_dim = len(head)
    elif classifier is not None and (head is not None or _is_headless(config)):
        name, tower = classifier, config
    if head is not None and has_bias and len(head) != config.num_labels:
        config.num_labels = len(head)
    with torch.device("meta"):
        module = getattr(transformers_module(), name)(tower)
    if hasattr(module, "rope_embeddings"):  # its frequencies are no weights, and aren't rounded
        module.rope_embeddings = type(module.rope_embeddings)(tower).to(
            torch.promote_types(dtype, torch.float32)
        )
    return module


def _is_headless(config: Any) -> bool:
    """Whether it is a classifier's that gives what its head would read."""
    return config.num_labels == 0 and "Classification" in "".join(config.architectures or ())


def _check_fit(source: str, name: str, tensor: Tensor, expected: Tensor) -> None:
    if tensor.shape != expected.shape:
        raise WeightsError(
            f"`{name}` in {source} must have shape {list(expected.shape)}; got "
            f"{list(tensor.shape)}. Use the weights of this configuration."
        )
    if not tensor.is_floating_point():
        raise WeightsError(
            f"`{name}` in {source} must hold floating-point numbers; got {tensor.dtype}. "
            "Use weights that aren't quantized."
        )


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible: a class that it knows, or one that derives from it."""
    return any(
        base.__name__ in READOUTS and base.__module__.startswith("transformers.")
        for base in type(module).__mro__
    )


def convert(module: Any, processor: Any = None) -> HookedViT:
    """A `HookedViT` with a copy of the module's weights, equal to it in evaluation mode.

    Args:
        module: A model of one of the known classes.
        processor: The image processor that prepares its images, or a processor that has one.

    Raises:
        UnsupportedModelError: A feature that `HookedViT` lacks; the message says where.
    """
    check_module(module)
    by_place, _, unknown = placed(module.state_dict())
    if unknown:
        raise unsupported(f"Each weight must be one that `HookedViT` has; got `{unknown[0]}`")
    name = type(module).__name__
    model = _build(module, by_place, placement(module), f"`{name}`")
    if processor is not None:
        model.preprocessing = preprocessing_of(processor, model.cfg)
    model.card["source"] = f"transformers {transformers_module().__version__}, a {name}"
    return model


@torch.no_grad()
def _build(
    module: Any,
    by_place: dict[str, Tensor],
    place: tuple[torch.device, torch.dtype],
    source: str,
    image_size: tuple[int, int] | None = None,
) -> HookedViT:
    by_place = by_place | tables(module)
    cfg = read_config(module, by_place)
    if image_size is not None:
        by_place, cfg = resized(by_place, cfg, image_size)
    tensors = assembled(by_place, cfg)
    if cfg.attention.rotary is not None:
        tensors |= _rotary_tables(module, cfg, place)
    return filled(cfg, tensors, place, source, labels=labels_of(module.config, cfg))


def _rotary_tables(
    module: Any, cfg: HookedViTConfig, place: tuple[torch.device, torch.dtype]
) -> dict[str, Tensor]:
    """The module's own cosines and sines at the configured size; the prefix doesn't turn."""
    device, dtype = place
    images = torch.zeros(1, cfg.n_channels, *cfg.image_shape, device=device, dtype=dtype)
    # A rope of a model in evaluation mode moves no coordinates.
    cos, sin = module.rope_embeddings.eval()(images)
    still = cos.new_ones(cfg.n_prefix, cos.shape[1])
    return {
        "rotary.cos": torch.cat([still, cos])[None, None],
        "rotary.sin": torch.cat([torch.zeros_like(still), sin])[None, None],
    }
