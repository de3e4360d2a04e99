"""Models of which it is known what each layer does to the stream."""

import torch

from tests.tiny import random_model
from vitreous.models import HookedViT


def drifting_model(seed: int = 0, **changes) -> HookedViT:
    """Each block moves every token by `h -> h + M h + c`, with M and c of its own.

    Attention writes a constant, and the MLP is a linear map in two halves: relu(x) - relu(-x) = x.
    """
    shape = {"d_model": 8, "d_mlp": 16, "n_heads": 2, "norm": None, "act_name": "relu"}
    model = random_model(seed, **(shape | changes))
    generator = torch.Generator().manual_seed(seed + 1)
    eye = torch.eye(8, dtype=torch.float64)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.out.weight.zero_()
            assert block.mlp is not None
            block.mlp.fc_in.weight.copy_(torch.cat([eye, -eye]))
            block.mlp.fc_in.bias.zero_()
            drift = 0.2 * torch.randn(8, 8, generator=generator, dtype=torch.float64)
            block.mlp.fc_out.weight.copy_(torch.cat([drift, -drift], 1))
    return model


def drift_from(model: HookedViT, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What is done to the stream behind a layer from there on: a matrix and a vector."""
    width = model.cfg.d_model
    with torch.no_grad():
        probes = torch.cat([torch.zeros(1, width), torch.eye(width)]).double()[:, None]
        tokens = probes.expand(-1, model.layout.n_tokens, -1)
        n_layers = model.cfg.n_layers
        ended = tokens
        if layer < n_layers - 1:
            ended = model(tokens, start_at_layer=layer + 1, stop_at_layer=n_layers)
    assert torch.allclose(ended[:, 0], ended[:, -1], atol=1e-12)
    return (ended[1:, 0] - ended[0, 0]).T, ended[0, 0]
