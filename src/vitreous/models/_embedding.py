"""From pixels to the first residual stream."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.models._config import HookedViTConfig


class Embedding(nn.Module):
    """Patches, class, distillation and register tokens, and their positions."""

    def __init__(self, config: HookedViTConfig) -> None:
        super().__init__()
        self.config = config
        d_model, kernel = config.d_model, config.patch_shape
        self.patch = nn.Conv2d(
            config.n_channels,
            d_model,
            kernel,
            stride=kernel,
            bias=config.patch_bias,
        )
        self.cls_token = _tokens(int(config.cls_token), d_model)
        self.distillation_token = _tokens(int(config.distillation_token), d_model)
        self.registers = _tokens(config.n_registers, d_model)
        learned = config.position is not None and config.position.kind == "learned"
        n_positions = config.grid[0] * config.grid[1]
        if config.position is not None and config.position.prefix:
            n_positions += self.n_prefix
        self.pos = nn.Parameter(torch.randn(n_positions, d_model) * 0.02) if learned else None

    @property
    def n_prefix(self) -> int:
        config = self.config
        return int(config.cls_token) + int(config.distillation_token) + config.n_registers

    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Tokens without their positions."""
        patches = self.patch(images).flatten(2).transpose(1, 2)
        prefix = [
            tokens.expand(len(images), -1, -1)
            for tokens in (self.cls_token, self.distillation_token, self.registers)
            if tokens is not None
        ]
        return torch.cat([*prefix, patches], dim=1) if prefix else patches

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "tokens d_model"] | None:
        """What is added to each token: zero where it has no position, None where none has."""
        position = self.config.position
        if position is None:
            return None
        pos = self.pos
        if pos is None:
            pos = sincos(grid, self.config.d_model, like=self.patch.weight)
        n_missing = self.n_prefix + grid[0] * grid[1] - len(pos)
        return torch.cat([pos.new_zeros(n_missing, pos.shape[1]), pos]) if n_missing else pos


def sincos(grid: tuple[int, int], d_model: int, like: Tensor) -> Float[Tensor, "patches d_model"]:
    """Fixed positions of a grid: sines and cosines of the column, then of the row.

    References:
        Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers",
        2021, section 4 (2-D sine-cosine embedding); half of the width per axis, temperature 10000.
    """
    quarter = torch.arange(d_model // 4, dtype=torch.float64) / (d_model // 4)
    omega = 10000.0**-quarter
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in grid)
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    angles = [axis.flatten()[:, None] * omega for axis in (column, row)]
    waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
    return torch.cat(waves, dim=1).to(like)


def _tokens(count: int, d_model: int) -> nn.Parameter | None:
    return nn.Parameter(torch.randn(1, count, d_model) * 0.02) if count else None
