"""Fitting a tuned lens: all layers at once, against what the model says in the end."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.data import Batch, Images
from vitreous.lenses._groups import Groups, groups_of, tokens_of
from vitreous.lenses._reader import Reader
from vitreous.models import HookedViT, TokenLayout, ZeroShotClassifier, frozen, require_finite
from vitreous.training import Plan, Progress, fit

Classifier = HookedViT | ZeroShotClassifier
Toward = Literal["read", "own", "image"]

PLAN = Plan(batch_size=64, learning_rate=3e-3, steps=300, weight_decay=1e-3)
"""How a lens is fitted where nobody says otherwise."""


class Translators(nn.Module):
    """An affine map for each layer and each group of tokens, which begins as the identity."""

    def __init__(self, groups: Iterable[str], model: HookedViT, *, bias_only: bool) -> None:
        super().__init__()
        n_layers, d_model = model.cfg.n_layers, model.cfg.d_model
        # Steps are smaller than half precision can tell.
        dtype = torch.promote_types(model.placement.dtype, torch.float32)
        groups = tuple(groups)

        def zeros(*shape: int) -> nn.ParameterDict:
            made = {group: nn.Parameter(torch.zeros(shape, dtype=dtype)) for group in groups}
            return nn.ParameterDict(made)

        self.bias = zeros(n_layers, d_model)
        self.weight = None if bias_only else zeros(n_layers, d_model, d_model)

    def forward(
        self, streams: Float[Tensor, "layers batch tokens d_model"], tokens: dict[str, list[int]]
    ) -> Float[Tensor, "layers batch tokens d_model"]:
        """The streams behind each layer but the last, as the last one would be."""
        parts = []
        for group, chosen in tokens.items():
            mine = streams[:, :, chosen].to(self.bias[group].dtype)
            weight = None if self.weight is None else self.weight[group]
            moved = translated(mine.flatten(1, 2), weight, self.bias[group])
            parts.append(moved.view_as(mine))
        return torch.cat(parts, 2).to(streams.dtype)  # groups stand as their tokens do


def translated(
    resid: Float[Tensor, "layers inner d_model"],
    weight: Float[Tensor, "layers d_model d_model"] | None,
    bias: Float[Tensor, "layers d_model"],
) -> Float[Tensor, "layers inner d_model"]:
    """`h + A h + b`, for the streams of several layers in one product."""
    if weight is None:
        return resid + bias[:, None]
    return resid + torch.baddbmm(bias[:, None], resid, weight.mT)


def tune(
    loss: "Distillation", images: Images, plan: Plan, *, bias_only: bool, **how: Any
) -> tuple[Translators, Progress]:
    """Fits the maps of all layers; `how` goes to `vitreous.training.fit`."""
    tower = loss.reader.tower
    translators = Translators(loss.groups, tower, bias_only=bias_only)
    home = tower.placement.device
    try:
        with frozen(loss.model):
            done = fit(translators, images, plan, loss=loss, **how)
    finally:
        loss.model.to(home)
    return translators.to(home).requires_grad_(False), done


class Distillation:
    """The loss of a lens: KL(what a token should say || what the lens reads of it), in nats.

    The mean over the tokens of a group, over layers and over groups.
    """

    def __init__(self, model: Classifier, groups: Groups, toward: Toward) -> None:
        self.model, self.reader = model, Reader.of(model, None)
        self.toward: Toward = toward
        if toward not in ("read", "own", "image"):
            raise ValueError(
                f"`toward` must be 'read', 'own' or 'image'; got {toward!r}. Pass one of them."
            )
        if toward == "image" and not self.reader.pools:
            raise ValueError(
                "`toward='image'` needs a model with one output per image; got one with an output "
                "per token. Pass 'own'."
            )
        self.groups = groups_of(self.reader.tower.layout, groups)

    def __call__(self, translators: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        tower = self.reader.tower
        if tower.placement.device != batch.pixels.device:
            self.model.to(batch.pixels.device)
        layout = tower.layout_for(batch.pixels)
        streams, wanted = self.teach(batch.pixels.to(tower.placement), layout)
        tokens = tokens_of(layout, self.groups)
        moved = translators(streams[:-1], tokens)
        read = self.reader.tokens(moved.flatten(0, 1), range(layout.n_tokens))
        gaps = divergence(wanted, read.unflatten(0, moved.shape[:2]))
        return torch.stack([gaps[:, :, chosen].mean() for chosen in tokens.values()]).mean()

    @torch.no_grad()
    def teach(
        self, pixels: Tensor, layout: TokenLayout
    ) -> tuple[Float[Tensor, "layers batch tokens d_model"], Float[Tensor, "batch tokens labels"]]:
        """The streams from the embedding on, and the logits that each token should have."""
        tower = self.reader.tower
        names = stream_names(tower)
        _, cache = tower.run_with_cache(pixels, names_filter=names, return_type=None)
        streams = torch.stack([cache[name] for name in names])
        wanted = self.reader.tokens(streams[-1], range(layout.n_tokens))
        others = unread(layout, self.toward)
        if others:
            wanted[:, others] = self.reader.whole(streams[-1], layout)[:, None]
        return streams, require_finite(wanted, "logits")


def unread(layout: TokenLayout, toward: Toward) -> list[int]:
    """The tokens that are to say what the image is, and not what they say in the end."""
    own = {"own": range(layout.n_tokens), "image": (), "read": layout.select("readout")}[toward]
    return [token for token in range(layout.n_tokens) if token not in set(own)]


def divergence(
    wanted: Float[Tensor, "*#batch labels"], read: Float[Tensor, "*#batch labels"]
) -> Float[Tensor, "*batch"]:
    """KL(wanted || read) of logits, in nats."""
    wanted, read = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (wanted, read))
    wanted, read = wanted.log_softmax(-1), read.log_softmax(-1)
    return (wanted.exp() * (wanted - read)).sum(-1)


def stream_names(model: HookedViT) -> list[str]:
    """Where the stream is read: the embedding, and behind each block."""
    behind = [f"blocks.{layer}.hook_resid_post" for layer in range(model.cfg.n_layers)]
    return ["blocks.0.hook_resid_pre", *behind]
