"""From pixels to the first residual stream."""

import math

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
        d_model = config.d_model
        self.patch = _convolution(config) if stem is None else stem
        if config.patch_norm is not None:
            self.hook_patches = HookPoint()
        self.patch_norm = make_norm(d_model, config.patch_norm)
        self.cls_token = _tokens(int(config.cls_token), d_model)
        self.distillation_token = _tokens(int(config.distillation_token), d_model)
        self.registers = _tokens(config.n_registers, d_model)
        learned = config.position is not None and config.position.kind == "learned"
        adds_frames = config.position is not None and config.position.frames == "added"
        n_positions = math.prod(config.grid) if adds_frames else config.n_patches
        if config.position is not None and config.position.prefix:
            n_positions += config.n_prefix
        self.pos = nn.Parameter(torch.randn(n_positions, d_model) * 0.02) if learned else None
        self.pos_time = _tokens(config.places[0] if adds_frames else 0, d_model)

    def forward(
        self, inputs: Float[Tensor, "batch *frames channels rows columns"]
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
        self, images: Float[Tensor, "batch *frames channels rows columns"]
    ) -> Float[Tensor, "batch patches d_model"]:
        """Embedded patches, in reading order."""
        if not self.config.takes_clips:
            return self._embedded(images)
        if self.config.tubelet > 1:
            return self._embedded(images.transpose(1, 2))
        return self._embedded(images.flatten(0, 1)).unflatten(0, images.shape[:2]).flatten(1, 2)

    def _embedded(self, images: Tensor) -> Float[Tensor, "batch patches d_model"]:
        """Of pictures, or of clips with the frames behind the channels."""
        embedded = self.patch(images)
        embedded = embedded if embedded.ndim == 3 else embedded.flatten(2).transpose(1, 2)
        n_patches = math.prod(self.config.grid)
        if self.config.stem and embedded.shape[1] != n_patches:
            raise ValueError(
                f"A stem must give {n_patches} patches at the configured image size; got "
                f"{embedded.shape[1]}. Set `image_size` and `patch_size` to its own."
            )
        return embedded

    @property
    def W_E(self) -> Float[Tensor, "pixels d_model"]:
        """The patch embedding as a matrix; a live view.

        Pixels run by channel, row, column; where a patch covers several frames, by channel, frame,
        row, column.
        """
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

    def convolution(self) -> nn.Conv2d | nn.Conv3d:
        """What cuts and embeds patches, where that is one linear map."""
        if not isinstance(self.patch, nn.Conv2d | nn.Conv3d):
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
        tokens = (
            self.cls_token, self.distillation_token, self.registers, self.pos, self.pos_time
        )  # fmt: skip
        return [(patch.weight, 0), (patch.bias, 0), *((each, -1) for each in tokens)]

    def positions(self, layout: TokenLayout) -> Float[Tensor, "tokens d_model"] | None:
        """What is added to each token: zero where it has no position, None where none has."""
        position = self.config.position
        if position is None:
            return None
        pos, grid = self.pos, layout.grid[1:]
        if pos is None:
            pos = sincos(grid, self.config.d_model, like=next(self.parameters()))
        elif grid != self.config.grid and position.resample is not None:
            n_still = self.config.n_prefix if position.prefix else 0
            pos = resampled(pos, n_still, self.config.grid, grid, position.resample)
        if self.pos_time is not None:
            pos = self._with_frames(pos, layout)
        n_missing = layout.n_tokens - len(pos)
        return torch.cat([pos.new_zeros(n_missing, pos.shape[1]), pos]) if n_missing else pos

    def _with_frames(
        self, pos: Float[Tensor, "_ d_model"], layout: TokenLayout
    ) -> Float[Tensor, "_ d_model"]:
        """Positions of one frame in every frame, with that of the frame added to its patches."""
        assert self.pos_time is not None
        n_prefix = len(pos) - math.prod(layout.grid[1:])
        patches = pos[n_prefix:] + self.pos_time.transpose(0, 1)
        return torch.cat([pos[:n_prefix], patches.flatten(0, 1)])


def _convolution(config: HookedViTConfig) -> nn.Conv2d | nn.Conv3d:
    """Patches of one frame, or of several."""
    kernel, bias = config.patch_shape, config.patch_bias
    if config.tubelet == 1:
        return nn.Conv2d(config.n_channels, config.d_model, kernel, stride=kernel, bias=bias)
    kernel = (config.tubelet, *kernel)
    return nn.Conv3d(config.n_channels, config.d_model, kernel, stride=kernel, bias=bias)


def _tokens(count: int, d_model: int) -> nn.Parameter | None:
    return nn.Parameter(torch.randn(1, count, d_model) * 0.02) if count else None
