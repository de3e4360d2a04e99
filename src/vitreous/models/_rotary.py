"""Queries and keys turned by angles that depend on the token's place."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.models._config import HookedViTConfig


class Rotary(nn.Module):
    """The angles of a model, as tables of their cosines and sines.

    Tables are buffers `[layers or 1, heads or 1, tokens, d_head]`. Families compute their angles
    in many ways, and some learn them; a converted model has the tables of its source, and a new
    one those of `axial_angles`.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: HookedViTConfig) -> None:
        super().__init__()
        parts = config.attention.rotary
        assert parts is not None
        self.interleaved = parts.interleaved
        angles = axial_angles(config, interleaved=parts.interleaved)
        layers = config.n_layers if parts.per_layer else 1
        heads = config.n_heads if parts.per_head else 1
        tables = angles.expand(layers, heads, -1, -1).clone()
        self.register_buffer("cos", tables.cos())
        self.register_buffer("sin", tables.sin())

    def turn(
        self, x: Float[Tensor, "batch tokens heads d_head"], layer: int
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Queries or keys of a layer, turned."""
        # One table for all layers serves each of them. Fewer tokens are the first ones.
        tables = (t[layer % len(t), :, : x.shape[1]] for t in (self.cos, self.sin))
        cos, sin = (table.transpose(0, 1).to(x.dtype) for table in tables)
        return x * cos + self._quarter_turn(x) * sin

    def _quarter_turn(self, x: Tensor) -> Tensor:
        if self.interleaved:
            return torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
        first, second = x.chunk(2, -1)
        return torch.cat([-second, first], -1)


def axial_angles(
    config: HookedViTConfig, *, interleaved: bool, temperature: float = 10_000.0
) -> Float[Tensor, "tokens d_head"]:
    """Half of the pairs turn with the row and half with the column; the prefix doesn't turn.

    References:
        Fang et al., "EVA-02: A Visual Representation for Neon Genesis", 2023, section 2.1 (2-D
        rotary positions); frequencies as of Su et al., "RoFormer", 2021, equation 15.
    """
    rows, columns = config.grid
    n_pairs = config.head_width // 2
    count = max(1, n_pairs // 2)
    frequencies = temperature ** -(torch.arange(count, dtype=torch.float64) / count)
    row, column = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64),
        torch.arange(columns, dtype=torch.float64),
        indexing="ij",
    )
    per_axis = [axis.flatten()[:, None] * frequencies for axis in (row, column)]
    pairs = torch.cat(per_axis, -1)[:, :n_pairs]
    pairs = torch.cat([pairs, pairs.new_zeros(len(pairs), n_pairs - pairs.shape[1])], -1)
    angles = pairs.repeat_interleave(2, -1) if interleaved else torch.cat([pairs, pairs], -1)
    prefix = angles.new_zeros(config.n_prefix, angles.shape[1])
    return torch.cat([prefix, angles]).to(torch.get_default_dtype())
