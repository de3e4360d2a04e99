"""The vision transformers of transformers, from a name, a folder or a module.

ViT (DINO's too), DeiT, ViT-MAE, DINOv2 and DINOv3, BEiT, and CLIP, SigLIP and SigLIP 2, both
towers; of videos ViViT, VideoMAE and TimeSformer. What is read is what the class gives as logits or
embeddings. Bare models give their normalized class token (`last_hidden_state[:, 0]`; BEiT and
VideoMAE as their config says, SigLIP what its head pools): the dense layer with a tanh that some
have behind it is a remnant of pretraining and no part of the readout. Of a model with two towers,
each has its projection.

ViT-MAE hides patches at random wherever it is run; here it sees all of them, in reading order:
the source at `mask_ratio=0`, whose tokens come in the order of its noise and are these once that is
undone. Hiding patches, and the decoder that fills them in, are not represented.

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

from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import WeightsError
from vitreous.models._clip import HookedCLIP
from vitreous.models._config import HookedViTConfig
from vitreous.models._text import HookedTextTransformer
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions, Tower, Weights
from vitreous.models.adapters._parts import filled, placement, unsupported
from vitreous.models.adapters._transformers_config import (
    READOUTS,
    check_module,
    read_config,
    transformers_module,
)
from vitreous.models.adapters._transformers_correspondence import correspondence as correspondence
from vitreous.models.adapters._transformers_files import Files, InMemory, repository
from vitreous.models.adapters._transformers_images import labels_of, preprocessing_of
from vitreous.models.adapters._transformers_resize import resized
from vitreous.models.adapters._transformers_source import fitted, original
from vitreous.models.adapters._transformers_text import TEXTS, WHOLE, is_text
from vitreous.models.adapters._transformers_text_models import convert_text, load_text
from vitreous.models.adapters._transformers_tokenizer import tokenizer_in
from vitreous.models.adapters._transformers_videos import tables
from vitreous.models.adapters._transformers_weights import (
    assembled,
    is_unread,
    placed,
    towers_of,
)
from vitreous.models.adapters._two_towers import joined

OPTIONS = frozenset({"weights", "revision", "cache_dir", "local_files_only", "image_size", "tower"})

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
    return _load(files, Weights(raw, files.source), options)


def load_config(config: Any, options: LoadOptions) -> Any:
    """The model of a configuration in memory, with `options.tensors` as its weights."""
    files = InMemory(config)
    return _load(files, Weights(options.tensors or {}, files.source), options).model


def _load(files: Files, given: Weights, options: LoadOptions) -> Loaded:
    tower = options.tower or towers_of(given.tensors)
    if tower == "text":
        loaded = load_text(files, given, options)
    elif tower == "image":
        loaded = _load_image(files, given, options)
    else:
        loaded = _load_both(files, given, options)
    loaded.model.card["source"] = _source(given)
    return loaded


def _load_image(files: Files, given: Weights, options: LoadOptions) -> Loaded:
    model, module = _described(files.config(frozenset(_CLASSES)), given, options)
    model.preprocessing = files.preprocessing(model.cfg, options.image_size)
    return Loaded(model, lambda: original(module, given, is_unread))


def _load_both(files: Files, given: Weights, options: LoadOptions) -> Loaded:
    scale, bias = (given.tensors.get(name) for name in ("logit_scale", "logit_bias"))
    if scale is None:
        raise WeightsError(
            f"{given.where} must hold `logit_scale`, by which images and texts are compared; got "
            'none. Load one tower: `tower="image"`.'
        )
    image: Any = _load_image(files, given, options).model
    text: Any = load_text(files, given, options).model
    return Loaded(joined(image, text, scale, bias), None)


def describe(name: str, options: LoadOptions) -> HookedViTConfig:
    """What a model from a folder or the hub is made of."""
    return describe_config(repository(name, options).config(frozenset(_CLASSES)))


def describe_config(config: Any) -> HookedViTConfig:
    """What the model of a configuration is made of, of the class that it names itself."""
    config = InMemory(config).config(frozenset(_CLASSES))
    own = [each for each in config.architectures or () if each in READOUTS]
    name = own[0] if own else _CLASSES[config.model_type][0]
    whole = name in ("CLIPModel", "SiglipModel", "Siglip2Model") or "Classification" in name
    with torch.device("meta"):
        module = getattr(transformers_module(), name)(config if whole else _tower(config))
    return read_config(module, placed(module.state_dict())[0] | tables(module))


def _tower(config: Any) -> Any:
    return getattr(config, "vision_config", config)


def _described(config: Any, given: Weights, options: LoadOptions) -> tuple[HookedViT, Any]:
    """The model of a configuration with these weights, and the library's module without them."""
    found = placed(given.tensors)
    module = _skeleton(config, found[0], options.dtype)
    converted = fitted(given.where, found, placed(module.state_dict()), options.dtype)
    place = torch.device("cpu"), options.dtype
    model = _build(module, converted, place, given.where, options.image_size)
    model.card["source"] = _source(given)
    return model, module


def _source(given: Weights) -> str:
    return f"transformers {transformers_module().__version__}, {given.where}"


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


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible: a class that it knows, or one that derives from it."""
    return any(
        base.__name__ in (*READOUTS, *TEXTS) and base.__module__.startswith("transformers.")
        for base in type(module).__mro__
    )


def convert(
    module: Any, processor: Any = None, tower: Tower | None = None
) -> HookedViT | HookedTextTransformer | HookedCLIP:
    """A glass model with a copy of the module's weights, equal to it in evaluation mode.

    Args:
        module: A model of one of the known classes.
        processor: The image processor or the tokenizer of the model, or a processor that has both.
        tower: Which one of a model of images and texts to convert.

    Raises:
        UnsupportedModelError: A feature that ours lacks; the message says where.
    """
    name = type(module).__name__
    if name in WHOLE and tower in (None, "both"):
        scale, bias = module.logit_scale, getattr(module, "logit_bias", None)
        image, text = convert_image(module, processor), convert_text(module, processor)
        model: Any = joined(image, text, scale, bias)
    elif is_text(module) or (name in WHOLE and tower == "text"):
        model = convert_text(module, processor)
    else:
        model = convert_image(module, processor)
    model.card["source"] = f"transformers {transformers_module().__version__}, a {name}"
    return model


def convert_image(module: Any, processor: Any = None) -> HookedViT:
    """A `HookedViT` with a copy of the weights of a model of images, or of its image tower."""
    check_module(module)
    by_place, _, unknown = placed(module.state_dict())
    if unknown:
        raise unsupported(f"Each weight must be one that `HookedViT` has; got `{unknown[0]}`")
    model = _build(module, by_place, placement(module), f"`{type(module).__name__}`")
    # A processor may be a tokenizer alone.
    if processor is not None and processor is not tokenizer_in(processor):
        model.preprocessing = preprocessing_of(processor, model.cfg)
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
