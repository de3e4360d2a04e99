"""The picture on a model's card: where each head looks, and what the model would answer by now."""

import base64
import io
from html import escape

import numpy as np
import torch
import xarray
from jaxtyping import Float
from PIL import Image

import vitreous as vt
from vitreous.models import HookedViT, TransformerCache

# What lies over the patches that a head doesn't look at: red, green, blue, and opacity of 255.
SHADE = (24, 22, 58, 200)


def card_picture(
    model: HookedViT, pixels: Float[torch.Tensor, "1 channels rows columns"], truth: str
) -> str:
    """HTML of a picture, and a line for each layer: what the model would say after it, its heads.

    A head's picture is clear where the tokens that the model answers from look most, and dark
    where they don't look.

    Args:
        model: Its labels name what it says.
        pixels: The picture as the model takes it.
        truth: What the picture is.
    """
    scene = Image.fromarray(model.preprocessing.inverse(pixels)[0].numpy())
    logits, cache = model.run_with_cache(pixels)
    answer = _said(logits[0], model)
    lens = vt.logit_lens(model, pixels, at="post", cache=cache)["logit"][0]
    lines = [
        f"<p><span>layer {layer}</span><b>{_said(_answer(lens, layer, model), model)}</b></p>"
        + "".join(
            _overlaid(scene, seen, f"layer {layer}, head {head}")
            for head, seen in enumerate(_seen(cache, model, layer))
        )
        for layer in range(model.cfg.n_layers)
    ]
    picture = f'<image id="scene" {_size(scene)} href="{_png(scene)}"/>'
    return (
        f'<div class="card-picture"><figure>{_svg(scene, picture, "The picture")}'
        f"<figcaption><span>shows a {escape(truth)}</span><b>read as {answer}</b></figcaption>"
        "</figure>"
        f'<div style="--heads: {model.cfg.n_heads}">{"".join(lines)}</div></div>'
    )


def _answer(lens: xarray.DataArray, layer: int, model: HookedViT) -> Float[torch.Tensor, " labels"]:
    """What the tokens that the head reads say together; behind its norm, pooling is linear."""
    return torch.from_numpy(lens.sel(layer=layer).values[model.layout.select("readout")].mean(0))


def _said(logits: Float[torch.Tensor, " labels"], model: HookedViT) -> str:
    sure, place = logits.softmax(-1).max(-1)
    return f"{escape(model.labels.names[int(place)])} {sure:.0%}"


def _seen(
    cache: TransformerCache, model: HookedViT, layer: int
) -> Float[torch.Tensor, "heads rows columns"]:
    """Attention to each patch from the tokens that the head reads."""
    readout = model.layout.select("readout")
    return model.layout.to_grid(cache["pattern", layer][0][:, readout].mean(1))


def _overlaid(scene: Image.Image, seen: Float[torch.Tensor, "rows columns"], what: str) -> str:
    """The picture under a shade that lets through what is seen."""
    shade = np.empty((*seen.shape, 4), np.uint8)
    shade[:] = SHADE
    shade[..., 3] = (SHADE[3] * (1 - seen / seen.max()).numpy()).round()
    over = f'<image {_size(scene)} class="shade" href="{_png(Image.fromarray(shade, "RGBA"))}"/>'
    return _svg(scene, f'<use href="#scene"/>{over}', f"Where {what} looks")


def _svg(scene: Image.Image, inside: str, what: str) -> str:
    title = f"<title>{escape(what)}</title>"
    return f'<svg viewBox="0 0 {scene.width} {scene.height}" role="img">{title}{inside}</svg>'


def _size(scene: Image.Image) -> str:
    return f'width="{scene.width}" height="{scene.height}"'


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
