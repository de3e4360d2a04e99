"""From pixels to the first residual stream."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.hooks import HookPoint
from vitreous.models._base_embedding import BaseEmbedding
from vitreous.models._config import HookedViTConfig
from vitreous.models._layout import TokenLayout
from vitreous.models._norms import make_norm
from vitreous.models._position_grids import resampled, sincos
from vitreous.models._read_only import ReadOnly, no_bias, share_memory


class Embedding(BaseEmbedding):
    """Patches, class, distillation and register tokens, and their positions.

    A stem, where there is one, is a module of another library, from images to patches
    `[batch patches d_model]` or `[batch d_model rows columns]`.
    """

    def __init__(self, config: HookedViTConfig, stem: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        d_model, kernel = config.d_model, config.patch_shape
        if stem is None:
            stem = nn.Conv2d(
                config.n_channels, d_model, kernel, stride=kernel, bias=config.patch_bias
            )
        self.patch = stem
        if config.patch_norm is not None:
            self.hook_patches = HookPoint()
        self.patch_norm = make_norm(d_model, config.patch_norm)
        self.cls_token = _tokens(int(config.cls_token), d_model)
        self.distillation_token = _tokens(int(config.distillation_token), d_model)
        self.registers = _tokens(config.n_registers, d_model)
        learned = config.position is not None and config.position.kind == "learned"
        n_positions = config.grid[0] * config.grid[1]
        if config.position is not None and config.position.prefix:
            n_positions += config.n_prefix
        self.pos = nn.Parameter(torch.randn(n_positions, d_model) * 0.02) if learned else None

    def forward(
        self, inputs: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Tokens without their positions."""
        patches = self.patches(inputs)
        if self.patch_norm is not None:
            patches = self.patch_norm(self.hook_patches(patches))
        prefix = [
            tokens.expand(len(inputs), -1, -1)
            for tokens in (self.cls_token, self.distillation_token, self.registers)
            if tokens is not None
        ]
        return torch.cat([*prefix, patches], dim=1) if prefix else patches

    def patches(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch patches d_model"]:
        """Embedded patches, in reading order."""
        embedded = self.patch(images)
        embedded = embedded if embedded.ndim == 3 else embedded.flatten(2).transpose(1, 2)
        n_patches = self.config.grid[0] * self.config.grid[1]
        if self.config.stem and embedded.shape[1] != n_patches:
            raise ValueError(
                f"A stem must give {n_patches} patches at the configured image size; got "
                f"{embedded.shape[1]}. Set `image_size` and `patch_size` to its own."
            )
        return embedded

    @property
    def W_E(self) -> Float[Tensor, "pixels d_model"]:
        """The patch embedding as a matrix; a live view. Pixels run by channel, row, column."""
        weight = self.convolution().weight
        matrix = weight.flatten(1).T
        if share_memory(matrix, weight):
            return matrix
        return ReadOnly.of(
            matrix,
            "`model.W_E` must lie in memory by channel, row, column to be written to; got other "
            "strides, so it is a copy. Write to `model.embedding.patch.weight`.",
        )

    @property
    def b_E(self) -> Float[Tensor, " d_model"]:
        patch = self.convolution()
        if patch.bias is None:
            return no_bias("model.b_E", patch.weight, (self.config.d_model,), "patch_bias=True")
        return patch.bias

    def convolution(self) -> nn.Conv2d:
        """What cuts and embeds patches, where that is one linear map."""
        if not isinstance(self.patch, nn.Conv2d):
            raise ValueError(
                "`W_E` needs patches that are embedded by one linear map; got a model with a stem. "
                "Use `hook_embed` of a run."
            )
        return self.patch

    @property
    def writes_its_weights(self) -> bool:
        return self.patch_norm is None and not self.config.stem

    def written(self) -> list[tuple[Tensor | None, int]]:
        patch = self.convolution()
        tokens = (self.cls_token, self.distillation_token, self.registers, self.pos)
        return [(patch.weight, 0), (patch.bias, 0), *((each, -1) for each in tokens)]

    def positions(self, layout: TokenLayout) -> Float[Tensor, "tokens d_model"] | None:
        """What is added to each token: zero where it has no position, None where none has."""
        position, grid = self.config.position, layout.grid[1:]
        if position is None:
            return None
        pos = self.pos
        if pos is None:
            pos = sincos(grid, self.config.d_model, like=next(self.parameters()))
        elif grid != self.config.grid and position.resample is not None:
            n_still = self.config.n_prefix if position.prefix else 0
            pos = resampled(pos, n_still, self.config.grid, grid, position.resample)
        n_missing = self.config.n_prefix + grid[0] * grid[1] - len(pos)
        return torch.cat([pos.new_zeros(n_missing, pos.shape[1]), pos]) if n_missing else pos


def _tokens(count: int, d_model: int) -> nn.Parameter | None:
    return nn.Parameter(torch.randn(1, count, d_model) * 0.02) if count else None
