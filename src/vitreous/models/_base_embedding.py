"""What begins the residual stream, of images or of texts."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vitreous.models._norms import Norm


class BaseEmbedding(nn.Module, ABC):
    """From what a model takes to tokens, and their positions.

    Attributes:
        pos: Learned positions; None where there are none.
        patch_norm: A norm of embedded patches; None where there is none.
    """

    pos: nn.Parameter | None
    patch_norm: Norm | None

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Tokens `[batch tokens d_model]` without their positions."""

    @abstractmethod
    def positions(self, layout: Any) -> Float[Tensor, "tokens d_model"] | None:
        """What is added to each token of a layout; None where nothing is."""

    @property
    @abstractmethod
    def W_E(self) -> Float[Tensor, "inputs d_model"]:
        """The embedding as a matrix."""

    @property
    @abstractmethod
    def b_E(self) -> Float[Tensor, " d_model"]:
        """Its bias."""

    @property
    @abstractmethod
    def writes_its_weights(self) -> bool:
        """Whether the stream that it begins is linear in its parameters."""

    @abstractmethod
    def written(self) -> list[tuple[Tensor | None, int]]:
        """Each parameter that it writes to the stream, and the dimension that is `d_model`."""
