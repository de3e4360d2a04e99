"""What lenses have in common that were fitted for one model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._lens_files import require_fitted_for
from vitreous.lenses._reading import read_lens
from vitreous.lenses._tuning import Classifier
from vitreous.models import TokenLayout, TransformerCache


class FittedLens(ABC):
    """Reads a model through maps that were fitted for it.

    Attributes:
        kind: What the lens is called in results.
        model_weights: Hash of the model that it was fitted for; None where nobody knows.
        about: How it was fitted, in plain values.
    """

    kind: ClassVar[str]
    model_weights: str | None
    about: dict[str, Any]

    def __call__(
        self,
        model: Classifier,
        images: Float[Tensor, "batch *frames channels rows columns"] | Images,
        *,
        layers: Sequence[int] | None = None,
        positions: Any = "all",
        labels: Any = None,
        top: int | None = None,
        cache: TransformerCache | None = None,
    ) -> xarray.Dataset:
        """Reads every layer; arguments and result are those of `logit_lens`.

        Raises:
            WeightsError: The lens was fitted for another model.
        """
        require_fitted_for(model, self.model_weights, self.about.get("model"))
        return read_lens(
            model,
            images,
            lens=self.kind,
            translator=self,
            layers=layers,
            positions=positions,
            labels=labels,
            top=top,
            cache=cache,
        )

    @abstractmethod
    def translate(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The stream behind block `layer` (-1 is the embedding) in terms of the last one."""
