"""open_clip's models of images and texts, from a name or from a module, whole or one tower.

What comes out of a tower is the embedding as it is projected, of whatever length: `encode_image(x)`
and `encode_text(x)` of a `CLIP`, with `normalize=False`.

A causal text tower reads what ends a text, and so never what fills the text up behind it. Others
attend to that too, as SigLIP was trained, unless they hide it (CoCa's class token, `use_pad_mask`).
"""

import copy
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import WeightsError
from vitreous._optional import needs
from vitreous.models._clip import HookedCLIP
from vitreous.models._config import HookedViTConfig
from vitreous.models._saving import load_tensors
from vitreous.models._text import HookedTextTransformer
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._open_clip_correspondence import correspondence as correspondence
from vitreous.models.adapters._open_clip_source import Source, find, has_both, tower_weights
from vitreous.models.adapters._open_clip_text import (
    check_whole,
    clip_classes,
    find_text,
    is_text,
    read_text_config,
    refuse_hugging_face,
    text_weights,
)
from vitreous.models.adapters._open_clip_tokenizer import (
    is_tokenizer,
    tokenizer_of,
    tokenizer_of_source,
)
from vitreous.models.adapters._open_clip_tower import convert_image, describe_image, refuse_image
from vitreous.models.adapters._options import LoadOptions, Tower, Weights
from vitreous.models.adapters._parts import filled_text, placement
from vitreous.models.adapters._two_towers import joined, offering
from vitreous.models.adapters._weight_files import read_weights

# ---- from a name

OPTIONS = frozenset({"weights", "revision", "cache_dir", "local_files_only", "image_size", "tower"})


def load(name: str, options: LoadOptions) -> Loaded:
    """Loads `ARCH/TAG`, `hf-hub:ORG/NAME` or `local-dir:PATH`, or one tower of it.

    With a file of weights, the tag says how images are prepared, and may be left out. A file of an
    image tower alone gives that.
    """
    source = find(name, options)
    towers = _build(source, options)  # before anything is downloaded
    given = options.given(read_weights)
    if given is None:
        file = source.fetch()
        given = Weights(read_weights(file), file.name)
    if options.tower is None and not has_both(given.tensors):
        towers.pop("text")
    for each, tower in towers.items():
        weights = tower_weights(given.tensors, each)
        _fill(tower.to(options.loading_dtype), each, weights, given.where)
    models = {each: _converted(each, tower, source, options) for each, tower in towers.items()}
    alone = len(models) == 1
    model = next(iter(models.values())) if alone else _joined(models, given)
    where = given.where if options.has_weights else source.where
    model.card["source"] = f"open_clip {_library('open_clip').__version__}, {where}"
    return Loaded(model, (lambda: next(iter(towers.values()))) if alone else None)


def _build(source: Source, options: LoadOptions) -> dict[str, Any]:
    """The towers that are asked for, with random weights.

    Raises:
        UnsupportedModelError: One of them can't be converted.
    """
    towers: dict[str, Any] = {}
    alone = options.tower in ("image", "text")
    if options.tower != "text":
        with offering(None if alone else "text"):
            towers["image"] = build(source, options.image_size)
            refuse_image(towers["image"])
    if options.tower != "image":
        with offering(None if alone else "image"):
            towers["text"] = build_text(source)
            read_text_config(find_text(towers["text"]))
    return towers


def _joined(models: dict[str, Any], given: Weights) -> HookedCLIP:
    tensors = given.tensors
    if "logit_scale" not in tensors:
        raise WeightsError(
            f"`{given.where}` must hold `logit_scale`, by which images and texts are compared; got "
            'two towers alone. Load one of them: `tower="image"`.'
        )
    return joined(**models, log_scale=tensors["logit_scale"], bias=tensors.get("logit_bias"))


def describe(name: str, options: LoadOptions) -> HookedViTConfig:
    """What the image tower of a model that open_clip knows by name is made of."""
    with torch.device("meta"):
        return describe_image(build(find(name, options)))


def build(source: Source, image_size: tuple[int, int] | None = None) -> Any:
    """The image tower of a configuration, with random weights."""
    vision = copy.deepcopy(source.vision)
    if source.is_timm:
        vision["timm_model_pretrained"] = False
    elif image_size is not None:
        vision["image_size"] = image_size
    return clip_classes()._build_vision_tower(source.embed_dim, vision, source.quick_gelu)


def build_text(source: Source) -> Any:
    """The text tower of a configuration, with random weights."""
    text = source.text
    if text.get("hf_model_name"):  # which is never built, since that downloads something
        refuse_hugging_face(text["hf_model_name"])
    return clip_classes()._build_text_tower(source.embed_dim, text, source.quick_gelu)


def _fill(tower: Any, kind: str, tensors: dict[str, Tensor], file: str) -> None:
    """Loads a tower's weights as open_clip itself does: other formats, other positions."""
    at = {"image": "visual", "text": "text"}[kind]
    clip = SimpleNamespace(**{at: tower})
    dtype = next(tower.parameters()).dtype
    named = {
        f"{at}.{name}": tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    library = clip_classes()
    resize = library.resize_pos_embed if kind == "image" else library.resize_text_pos_embed
    with suppress(AssertionError):  # of positions of another width, which are reported below
        resize(named, clip)
    own = {name.removeprefix(f"{at}."): tensor for name, tensor in named.items()}
    load_tensors(tower, own, f"`{file}`")


def _converted(
    kind: str, tower: Any, source: Source, options: LoadOptions
) -> HookedViT | HookedTextTransformer:
    if kind == "text":
        model = convert_text(tower.to(options.dtype))
        model.tokenizer = tokenizer_of_source(source, options, model.cfg)
        return model
    if options.image_size is not None and source.is_timm:
        tower.set_input_size(options.image_size)
    record = source.preprocessing | {"size": tower.image_size}
    return convert_image(tower.to(options.dtype), record)


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible for a module of a class of open_clip's."""
    return True


def convert(
    module: Any, processor: Any = None, tower: Tower | None = None
) -> HookedViT | HookedTextTransformer | HookedCLIP:
    """A glass model with a copy of the module's weights, equal to it in evaluation mode.

    LayerScale is folded into the output weights in float32 and better, and a gain of its own
    below that.

    Args:
        module: A `CLIP`, `CustomTextCLIP` or `CoCa`, or a tower of one.
        processor: A `PreprocessCfg`, or its fields as a dict, where the image tower has no record;
            a tokenizer; or both as a tuple.
        tower: Which one of a whole model to convert.

    Raises:
        UnsupportedModelError: A feature that ours lacks, or no model of images and texts.
    """
    record, tokenizer = _of_each(processor)
    is_whole = hasattr(module, "visual")
    if is_whole and tower in (None, "both"):
        model: Any = _convert_both(module, record, tokenizer)
    elif is_text(module) or (is_whole and tower == "text"):
        model = convert_text(module, tokenizer)
    else:
        model = convert_image(getattr(module, "visual", module), record)
    version = _library("open_clip").__version__
    model.card["source"] = f"open_clip {version}, a {type(module).__name__}"
    return model


def convert_text(module: Any, tokenizer: Any = None) -> HookedTextTransformer:
    """A `HookedTextTransformer` with a copy of a text tower's weights.

    Args:
        module: A text tower, or a model that has one.
        tokenizer: One of open_clip's.

    Raises:
        UnsupportedModelError: A feature that `HookedTextTransformer` lacks.
    """
    tower = find_text(module)
    cfg, name = read_text_config(tower), f"`{type(module).__name__}`"
    model = filled_text(cfg, text_weights(tower, cfg), placement(tower.module), name)
    model.tokenizer = tokenizer_of(tokenizer, cfg)
    return model


def _convert_both(module: Any, record: Any, tokenizer: Any) -> HookedCLIP:
    check_whole(module)
    with offering("text"):
        image = convert_image(module.visual, record)
    with offering("image"):
        text = convert_text(module, tokenizer)
    return joined(image, text, module.logit_scale, module.logit_bias)


def _of_each(processor: Any) -> tuple[Any, Any]:
    """What prepares images, and what prepares texts."""
    given = processor if isinstance(processor, tuple) else (processor,)
    texts = [each for each in given if is_tokenizer(each)]
    images = [each for each in given if not is_tokenizer(each)]
    return images[0] if images else None, texts[0] if texts else None


def _library(module: str) -> Any:
    return needs(module, extra="clip", feature='load("open_clip:...")')
