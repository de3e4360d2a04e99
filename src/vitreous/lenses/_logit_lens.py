"""The logit lens: every token at every layer, through the model's own norm and head."""

from collections.abc import Sequence
from typing import Any

import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._reader import Model
from vitreous.lenses._reading import At, read_lens
from vitreous.models import TransformerCache


def logit_lens(
    model: Model,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    at: At = "post",
    layers: Sequence[int] | None = None,
    positions: Any = "all",
    labels: Any = None,
    top: int | None = None,
    cache: TransformerCache | None = None,
) -> xarray.Dataset:
    """Reads the residual stream of every layer as if it were the last one.

    Each token goes alone through the final norm, at its own scale, and through the head. At the
    last layer the class token's row is the model's output; under mean pooling behind the norm,
    the average over patches is. Patch tokens were never trained to be read by a head of the class
    token: what the lens says of them is a projection, not a prediction. Pooling by attention reads
    each token as if it were the only one; where class token and mean stand side by side, a token
    stands in both places. Of a model of images and texts, what comes out is normalized, compared
    with the texts and scaled, as the image is.

    Beside it stands the readout: the whole end of the model (pooling, norm, head) on the whole
    stream of that layer. At the last one it is the model's output, for every model. Hooks on the
    end of the model aren't run; those on its blocks are.

    Args:
        model: A classifier; or a model of images and texts, as `clip.zero_shot(names)`, or itself
            with `labels=`.
        images: Preprocessed images, or a data set, which goes through the model batch by batch.
        at: Which stream of a block: before it, between attention and MLP, or after it.
        layers: Blocks to read; None means all and, with `at="post"`, the embedding as layer -1.
        positions: Tokens, as `TokenLayout.select` takes them; None for the readout alone.
        labels: Names or indices of the classes to read; None means all. For a `HookedCLIP` the
            texts, or their embeddings `[texts, d_embed]`.
        top: How many classes to keep of each row, the highest first; None keeps all. One layer's
            logits of all classes are held at a time.
        cache: A run on these images (of the image tower) to read instead of running the model.

    Returns:
        `logit[image, layer, token, label]` and `readout[image, layer, label]`, in logits. With
        `top`, `logit` and `label` (class indices) `[image, layer, token, rank]`, and
        `log_partition[image, layer, token]`, the logarithm of the sum over all classes of the
        exponentials, so that `exp(logit - log_partition)` is a probability; for the readout
        `readout`, `readout_label` and `readout_log_partition`. Patches have coordinates `row` and
        `column` (in clips `frame` too), which are -1 for other tokens; `label_index` numbers the
        labels, and `attrs["labels"]` names all classes; images of a data set
        with labels have the coordinate `true_label`. A model that pools nothing has no readout:
        its output is a row per token.

    Raises:
        ValueError: A model without a head, an unknown `at`, classes that aren't there, texts of
            another width, a data set without images, or streams that are no numbers.

    References:
        nostalgebraist, "Interpreting GPT: the logit lens", 2020. Departs from it: the norm's and
        the head's biases are kept, so that the last layer is the output. With a distillation
        token, patches and registers are read by the average of both heads.
    """
    return read_lens(
        model,
        images,
        at=at,
        layers=layers,
        positions=positions,
        labels=labels,
        top=top,
        cache=cache,
    )
