"""What adapters of PyTorch modules share: to trust a module's parts, and to fill ours.

A part is trusted when its class is one whose forward pass is known, nothing was patched into it
and no hook hangs on it: then a model that converts computes what its source computes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from vitreous._errors import UnsupportedModelError
from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import AttentionConfig
from vitreous.models._processing import Glass, fold_layer_scale
from vitreous.models._saving import load_tensors
from vitreous.models._text import HookedTextTransformer
from vitreous.models._text_config import HookedTextConfig
from vitreous.models._vit import HookedViT


def unsupported(what: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{what}. Use `vt.wrap(module)` for hooks on any module.")


def exactly(part: Any, where: str, *kinds: type) -> Any:
    """The part, if its class is one of `kinds`: a subclass may compute something else."""
    if type(part) not in kinds:
        words = " or ".join(dict.fromkeys(f"`{kind.__name__}`" for kind in kinds))
        raise unsupported(f"`{where}` must be a {words}; got {described(part)}")
    return part


# What a refused class is, in words.
_FEATURES = {
    "AttentionPoolLatent": "attention pooling",
    "AttentionPoolPrr": "attention pooling without weights",
    "DiffAttention": "differential attention",
    "DiffParallelScalingBlock": "differential attention and MLP in parallel",
    "HybridEmbed": "a convolutional stem",
}


def described(part: Any) -> str:
    """The class of a part, for messages."""
    name = type(part).__name__
    feature = _FEATURES.get(name)
    return f"a `{name}`" + (f" ({feature})" if feature else "")


def check_untouched(module: nn.Module, *methods: str) -> None:
    """No forward pass but the class's own: no monkeypatch on a part, and no hook.

    Args:
        module: The whole model, of an exactly known class.
        methods: Those of the model itself that take part in its pass, beside `forward`.
    """
    for name, part in module.named_modules():
        where = f"`{name}`" if name else "the model"
        for method in ("forward",) if name else ("forward", *methods):
            if method in vars(part):
                raise unsupported(
                    f"A module's methods must be those of its class; got another `{method}` on "
                    f"{where}"
                )
        if part._forward_hooks or part._forward_pre_hooks:
            raise UnsupportedModelError(
                "A module must have no forward hooks, which may change what it computes; got some "
                f"on {where}. Remove them first."
            )


def all_alike(
    blocks: Any, where: str, read: Callable[[Any, str], dict[str, Any]]
) -> dict[str, Any]:
    """The fields of a configuration that all blocks share."""
    fields = [read(block, f"{where}.{i}") for i, block in enumerate(blocks)]
    if not fields:
        raise unsupported(f"There must be at least one block; got none in `{where}`")
    for i, other in enumerate(fields):
        for name, value in fields[0].items():
            if other[name] != value:
                raise unsupported(
                    f"All blocks must be alike; got `{name}={other[name]}` in `{where}.{i}` and "
                    f"{value} in `{where}.0`"
                )
    return fields[0]


def patch_fields(conv: Any, where: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """The fields of a convolution that cuts an image into patches."""
    exactly(conv, where, nn.Conv2d)
    patch = tuple(conv.kernel_size)
    if (conv.stride, conv.padding, conv.dilation, conv.groups) != (patch, (0, 0), (1, 1), 1):
        raise unsupported(
            f"Patches must tile the image; got patches of {patch[0]} x {patch[1]} at a stride of "
            f"{conv.stride}"
        )
    return {
        "image_size": image_size,
        "patch_size": patch,
        "n_channels": conv.in_channels,
        "patch_bias": conv.bias is not None,
    }


def multihead_fields(attn: Any, where: str) -> dict[str, Any]:
    """The fields of PyTorch's own attention over one sequence.

    Its packed `in_proj_weight` is our `qkv.weight` as it stands.
    """
    exactly(attn, where, nn.MultiheadAttention)
    exactly(attn.out_proj, f"{where}.out_proj", NonDynamicallyQuantizableLinear, nn.Linear)
    extras = ("bias_k", "bias_v", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    extra = [name for name in extras if getattr(attn, name) is not None]
    if extra or attn.add_zero_attn:
        raise unsupported(
            f"`{where}` must attend to its own tokens alone, with one packed weight; got "
            f"`{', '.join(extra) or 'add_zero_attn'}`"
        )
    return {
        "n_heads": attn.num_heads,
        "d_head": attn.head_dim,
        "attention": AttentionConfig(attn.in_proj_bias is not None, attn.out_proj.bias is not None),
    }


def fuse_qkv(tensors: dict[str, Tensor], at: str) -> None:
    """Puts the weights of queries, keys and values in one, where all three are there.

    Args:
        tensors: With `{at}q.weight` and so on, which are replaced by `{at}qkv.weight`; likewise
            biases, of which those that are missing are zero.
        at: What stands in front of the names.
    """
    if not all(f"{at}{letter}.weight" in tensors for letter in "qkv"):
        return
    weights = [tensors.pop(f"{at}{letter}.weight") for letter in "qkv"]
    biases = [tensors.pop(f"{at}{letter}.bias", None) for letter in "qkv"]
    tensors[f"{at}qkv.weight"] = torch.cat(weights)
    if any(bias is not None for bias in biases):
        parts = zip(weights, biases, strict=True)
        tensors[f"{at}qkv.bias"] = torch.cat(
            [w.new_zeros(len(w)) if bias is None else bias for w, bias in parts]
        )


def placement(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a module's weights lie and what they are, all of them."""
    places = {(p.device, p.dtype) for p in module.parameters()}
    if len(places) > 1 or any(device.type == "meta" for device, _ in places):
        found = ", ".join(sorted(f"{dtype} on {device}" for device, dtype in places))
        raise UnsupportedModelError(
            f"All weights of a model must have one dtype and lie on one device; got {found}. "
            "Move them with `module.to(...)`."
        )
    return places.pop()


@torch.no_grad()
def filled(
    cfg: HookedViTConfig,
    tensors: dict[str, Tensor],
    place: tuple[torch.device, torch.dtype],
    source: str,
    *,
    complete: bool = False,
    folds: bool = True,
    stem: nn.Module | None = None,
    **about: Any,
) -> HookedViT:
    """The model of a configuration with these weights, neutral ones where they have no part.

    LayerScale is folded into the output weights in float32 and better, and a gain of its own
    below that.

    Args:
        cfg: What it is made of.
        tensors: Its weights by our names; a bias or a gain may be missing, and is neutral then.
        place: Device and dtype.
        source: What an error message calls the weights.
        complete: Whether nothing may be missing, since the weights come from a file.
        folds: Whether LayerScale may be folded.
        stem: What embeds patches, with its weights, where that isn't a convolution.
        about: `labels` and `preprocessing` of the `HookedViT`.
    """
    with torch.device("meta"):
        empty = HookedViT(cfg, **about, stem=None if stem is None else nn.Identity())
    model = _weighted(empty, tensors, place, source, complete)
    if stem is not None:
        model.embedding.patch = stem
    return _folded(model) if folds else model


@torch.no_grad()
def filled_text(
    cfg: HookedTextConfig,
    tensors: dict[str, Tensor],
    place: tuple[torch.device, torch.dtype],
    source: str,
    *,
    complete: bool = False,
) -> HookedTextTransformer:
    """The same for texts."""
    with torch.device("meta"):
        empty = HookedTextTransformer(cfg)
    return _folded(_weighted(empty, tensors, place, source, complete=complete))


def _weighted(
    empty: Glass,
    tensors: dict[str, Tensor],
    place: tuple[torch.device, torch.dtype],
    source: str,
    complete: bool,
) -> Glass:
    device, dtype = place
    model = empty.to(dtype).to_empty(device=device)
    neutral = {} if complete else _neutral(tensors, model)
    load_tensors(model, tensors | neutral, source)
    return model


def _folded(model: Glass) -> Glass:
    precise = model.placement.dtype in (torch.float32, torch.float64)
    return fold_layer_scale(model) if model.cfg.layer_scale and precise else model


def _neutral(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    neutral = {}
    for name, tensor in model.state_dict().items():
        if name not in tensors and name.endswith((".bias", ".b")):
            neutral[name] = torch.zeros_like(tensor)
        elif name not in tensors and name.endswith(".gain"):
            neutral[name] = torch.ones_like(tensor)
    return neutral
