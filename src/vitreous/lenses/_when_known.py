"""From which layer on a class stays on top."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._labeled import classes_of
from vitreous.lenses._reader import Model
from vitreous.lenses._reading import Translator, read_lens
from vitreous.lenses._segmentation import said_first

Asked = Literal["answer", "label"] | Int[Tensor, " batch"] | Sequence[int]


def when_known(
    model: Model | xarray.Dataset,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images | None = None,
    *,
    of: Asked = "answer",
    positions: Any = None,
    layers: Sequence[int] | None = None,
    labels: Any = None,
    translator: Translator | None = None,
) -> xarray.Dataset:
    """The first layer from which a class stays on top until the last one.

    What is read is the readout: the whole end of the model at each layer. A class that is on top
    early and lost again counts from where it came back. Where a class token is read, the embedding
    says the same of every image, so what is known from -1 there is luck. Of a data set no more
    than the class on top at each layer is held.

    Args:
        model: What `logit_lens` takes; or what it returned, of all layers up to the last one.
        images: Preprocessed images or a data set; None where `model` is a lens.
        of: The class of each image: `"answer"`, what the model says in the end; `"label"`, the
            label in the data set; or class indices.
        positions: Tokens of which the same is asked, one by one; None for none. A lens is asked
            of all tokens that it holds.
        layers: Blocks to read; None means all, and the embedding.
        labels: For a `HookedCLIP` the texts, or their embeddings.
        translator: Reads by another lens than the logit lens.

    Returns:
        `known_from[image]`, a layer (-1 is the embedding), or NaN where the class isn't on top at
        the last layer, so is never known; `known_from_token[image, token]` of tokens;
        `asked[image]`, the class that it is about. By `label`, over its images: `count`, `known`
        (how many are known in the end), and of these `mean` and `std` (NaN where there are none)
        of `known_from`; `known_share[label, layer]`, the share of all its images that are known
        from that layer or an earlier one. Classes without images are left out; `label_index`
        numbers them.

    Raises:
        ValueError: An unknown `of`, not one class per image, or a data set without labels.

    References:
        The question of Joseph and Nanda, "Laying the Foundations for Vision and Multimodal
        Mechanistic Interpretability & Open Problems", 2024: whether some classes are identified
        in earlier layers than others.
    """
    if isinstance(model, xarray.Dataset):
        lens = model
    elif images is None:
        raise ValueError("`images` must be given with a model; got None. Pass images or a lens.")
    else:
        lens = read_lens(
            model,
            images,
            layers=layers,
            positions=positions,
            labels=labels,
            translator=translator,
            top=1,
        )
    if "readout" not in lens:
        raise ValueError(
            "`when_known` needs a model with one output per image; got one that pools nothing. "
            "Compare the rows of `logit_lens`."
        )
    lens = lens.sortby("layer")
    return _summary(lens, _asked(lens, of))


def known_from(
    is_top: Bool[np.ndarray, "batch *tokens layers"], layers: Int[np.ndarray, " layers"]
) -> Float[np.ndarray, "batch *tokens"]:
    """The first of the layers from which it is true until the last; NaN where it isn't there."""
    stays = _stays(is_top)
    return np.where(stays[..., -1], layers[stays.argmax(-1)], np.nan)


def _stays(is_top: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    return np.logical_and.accumulate(is_top[..., ::-1], axis=-1)[..., ::-1]


def _asked(lens: xarray.Dataset, of: Asked) -> Int[np.ndarray, " batch"]:
    """The class of each image."""
    if isinstance(of, str):
        if of == "answer":
            return said_first(lens.isel(layer=-1), "readout")
        if of != "label" or "true_label" not in lens.coords:
            raise ValueError(
                "`of` must be 'answer', 'label' (of a data set that has labels) or class indices; "
                f"got {of!r}. Pass one of them."
            )
        of = lens["true_label"].values.tolist()
    asked = np.asarray(of)
    unread = np.setdiff1d(asked, classes_of(lens))
    if asked.shape != (lens.sizes["image"],) or len(unread):
        got = f"shape {list(asked.shape)}" if not len(unread) else f"{unread[:5].tolist()}"
        raise ValueError(
            f"`of` must be a class that the lens was read for, for each of "
            f"{lens.sizes['image']} images; got {got}. Pass class indices of this model."
        )
    return asked


def _summary(lens: xarray.Dataset, asked: Int[np.ndarray, " batch"]) -> xarray.Dataset:
    layers = lens["layer"].to_numpy()
    is_top = said_first(lens, "readout") == asked[:, None]
    found = known_from(is_top, layers)
    values: dict[str, Any] = {"known_from": ("image", found), "asked": ("image", asked)}
    coordinates: dict[Any, Any] = {"layer": layers}
    if "token" in lens.dims:
        says = said_first(lens, "logit") == asked[:, None, None]
        values["known_from_token"] = (("image", "token"), known_from(says.swapaxes(1, 2), layers))
        coordinates |= {name: lens[name] for name in lens.coords if lens[name].dims == ("token",)}
    of_class = [_of_class(found[asked == label]) for label in np.unique(asked)]
    values |= {name: ("label", [each[name] for each in of_class]) for name in of_class[0]}
    shares = [_stays(is_top)[asked == label].mean(0) for label in np.unique(asked)]
    values["known_share"] = (("label", "layer"), np.stack(shares))
    names = [lens.attrs["labels"][label] for label in np.unique(asked)]
    coordinates |= {"label": names, "label_index": ("label", np.unique(asked))}
    about = {name: lens.attrs[name] for name in ("at", "lens", "model")}
    return xarray.Dataset(values, coordinates, about)


def _of_class(found: Float[np.ndarray, " batch"]) -> dict[str, float]:
    known = found[~np.isnan(found)]
    mean, spread = (known.mean(), known.std()) if len(known) else (np.nan, np.nan)
    return {"count": len(found), "known": len(known), "mean": mean, "std": spread}
