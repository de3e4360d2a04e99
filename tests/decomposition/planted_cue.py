"""A hand-set model in which one head writes the class, one a cue that misleads, and others noise.

The middle of an image is its class (channel 0) and the whole of it its background (channel 1),
+1 or -1 each. The class is written with weight 1 and the cue with weight 2, so the cue wins.
"""

import dataclasses

import torch
from torch import Tensor

from vitreous.models import HookedViT, HookedViTConfig, PoolingConfig

CLASS_HEAD, CUE_HEAD, RELAYED_HEAD = (0, 1), (1, 2), (0, 2)


def planted_model(noise: float = 0.02) -> HookedViT:
    cfg = HookedViTConfig(
        2, 12, 3, n_classes=2, d_mlp=None, image_size=4, patch_size=2, n_channels=2, norm=None,
        position=None, patch_bias=False, pooling=PoolingConfig("cls", None),
    )  # fmt: skip
    model = HookedViT(cfg).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            small = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0 * small if "qkv" in name or "head" in name else noise * small)
        W_E = model.W_E.view(2, 4, 12)  # channels, pixels of a patch, width
        for channel in (0, 1):
            W_E[channel, :, channel] = 0.25
        for (layer, head), read, weight in ((CLASS_HEAD, 0, 1.0), (CUE_HEAD, 1, 2.0)):
            attn = model.blocks[layer].attn
            attn.W_V[head, read, 0] = 1.25  # a class token and four patches are averaged
            attn.W_O[head, 0, 2] = weight
        model.head.linear.weight[:, 2] = torch.tensor([-1.0, 1.0])
    return model


def relayed_model() -> HookedViT:
    """The same, but what `CUE_HEAD` writes into layer 0 is read by an MLP, which writes the cue.

    gelu(x) - gelu(-x) = x, so two neurons pass it on as it is.
    """
    planted = planted_model()
    model = HookedViT(dataclasses.replace(planted.cfg, d_mlp=4)).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            same = dict(planted.named_parameters()).get(name)
            parameter.copy_(torch.zeros_like(parameter) if same is None else same)
        first, second = (model.blocks[layer].attn for layer in (0, CUE_HEAD[0]))
        head = RELAYED_HEAD[1]
        first.W_V[head].copy_(second.W_V[CUE_HEAD[1]])
        first.W_O[head, :, 3] = second.W_O[CUE_HEAD[1], :, 2]
        second.W_O[CUE_HEAD[1]].zero_()
        mlp = model.blocks[1].mlp
        for neuron, sign in ((0, 1.0), (1, -1.0)):
            mlp.W_in[3, neuron] = sign
            mlp.W_out[neuron, 2] = sign
    return model


def planted_images(per_group: int = 8) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Images, labels and (label, cue), as many of each group."""
    groups = [(label, cue) for label in (0, 1) for cue in (0, 1)] * per_group
    generator = torch.Generator().manual_seed(1)
    images = 0.1 * torch.randn(len(groups), 2, 4, 4, generator=generator, dtype=torch.float64)
    for image, (label, cue) in zip(images, groups, strict=True):
        image[0] += 2 * label - 1
        image[1] += 2 * cue - 1
    return images, torch.tensor([label for label, _ in groups]), groups
