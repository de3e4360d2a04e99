"""How much of the answer a lens reads, and whether the model reads it too."""

from dataclasses import dataclass

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._fitted_lens import FittedLens
from vitreous.lenses._lens_files import require_fitted_for
from vitreous.lenses._reader import Reader
from vitreous.lenses._reading import Translator
from vitreous.lenses._tuning import Classifier, divergence, stream_names
from vitreous.models import HookedViT, TokenLayout, as_numbers, frozen, require_finite, stream

Lens = FittedLens | None
MEASURES = ("kl", "entropy", "rank", "causal_cosine", "causal_gain")


def evaluate_lens(
    model: Classifier,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    lens: Lens = None,
    *,
    n_classes: int = 2,
    step: float = 0.05,
) -> xarray.Dataset:
    """Grades what a lens says of each image, layer by layer: its `readout` row.

    Three grades ask how near it is to the model's output. The causal ones ask whether it is near
    for the model's own reasons: the stream is moved a little along the direction in which the
    lens's logit of a class rises fastest, at the tokens that the head reads, and the rest of the
    model runs on. A lens reads what the model uses if the output moves as the lens says. A probe
    that found a by-product reads well and moves nothing.

    At the last layer every lens is the model: `kl` and `rank` are 0, cosine and gain 1.

    Args:
        model: A classifier, or `clip.zero_shot(names)`.
        images: Preprocessed images, or a data set; for a fitted lens, other ones than it was fitted
            to.
        lens: What to grade; None is the logit lens.
        n_classes: Directions per image: those of the classes that the model puts first.
        step: Length of the move, as a part of the length of what is moved.

    Returns:
        Over `image` and `layer`: `kl`, KL(model's output || lens) in nats; `entropy` of the lens
        in nats; `rank`, how many classes the lens puts before the model's answer;
        `causal_cosine`, between the change of the model's logits and that of the lens's, both
        centered over classes, mean over directions: 1 where the output moves as the lens says, 0
        where it moves otherwise or not at all; `causal_gain`, the former change as a multiple of
        the latter, by least squares.

    Raises:
        ValueError: No images, a model without a head or with an output per token, or numbers that
            can't be.
        WeightsError: The lens was fitted for another model.

    References:
        Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens", 2023,
        sections 3 and 4. Departs from it: the stimulus is a small step along a lens's gradient,
        where the paper ablates a direction of a causal basis; the response is compared by the same
        (Aitchison) similarity, with equal weights.
    """
    reader = Reader.of(model, None)
    _require_gradable(reader, n_classes, step)
    if lens is not None:
        require_fitted_for(model, lens.model_weights, lens.about.get("model"))
    grader = _Grader(reader, lens, n_classes, step)
    with frozen(model):
        parts = [grader(batch.pixels) for batch in stream(reader.tower, images)]
    values = torch.cat(parts, 1)
    data = {
        name: (("image", "layer"), as_numbers(each))
        for name, each in zip(MEASURES, values, strict=True)
    }
    about = {"lens": "logit" if lens is None else lens.kind, "step": step, "n_classes": n_classes}
    return xarray.Dataset(data, {"layer": range(-1, reader.tower.cfg.n_layers)}, about)


@dataclass(frozen=True)
class _Grader:
    """Grades a lens on one batch at a time."""

    reader: Reader
    lens: Translator | None
    n_classes: int
    step: float

    def __call__(self, pixels: Tensor) -> Float[Tensor, "components batch layers"]:
        tower = self.reader.tower
        layout, names = tower.layout_for(pixels), stream_names(tower)
        with torch.no_grad():
            _, cache = tower.run_with_cache(pixels, names_filter=names, return_type=None)
            output = require_finite(self.reader.whole(cache[names[-1]], layout), "logits")
        grades = [
            self._layer(cache[name], layer, layout, output) for layer, name in enumerate(names, -1)
        ]
        return torch.stack(grades, 2)

    def _layer(
        self,
        resid: Float[Tensor, "batch tokens d_model"],
        layer: int,
        layout: TokenLayout,
        output: Float[Tensor, "batch labels"],
    ) -> Float[Tensor, "components batch"]:
        resid = resid.detach().requires_grad_()
        read = self._read(resid, layer, layout)
        ranked = output.argsort(-1, descending=True)
        moves = self._moves(resid, read, ranked[:, : self.n_classes], layout)
        with torch.no_grad():
            moved = (resid + moves).flatten(0, 1)
            expected = self._read(moved, layer, layout).view(len(moves), *read.shape) - read
            found = self._run(moved, layer, layout).view_as(expected) - output
            alike = agreement(_centered(expected), _centered(found)).mean(1)
            near = nearness(output, read, ranked[:, 0])
        return torch.cat([near, alike.to(near)])

    def _moves(
        self,
        resid: Float[Tensor, "batch tokens d_model"],
        read: Float[Tensor, "batch labels"],
        classes: Int[Tensor, "batch components"],
        layout: TokenLayout,
    ) -> Float[Tensor, "components batch tokens d_model"]:
        """Steps along the gradient of each class's logit, against the mean of all."""
        about = _centered(read).gather(1, classes).sum(0)
        gradients = torch.stack(
            [torch.autograd.grad(each, resid, retain_graph=True)[0] for each in about]
        )
        length = resid.detach()[:, layout.select("readout")].flatten(1).norm(dim=1)
        steepness = gradients.flatten(2).norm(dim=2).clamp_min(1e-30)
        return gradients * (self.step * length / steepness)[..., None, None]

    def _read(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> Float[Tensor, "batch labels"]:
        if self.lens is not None:
            resid = self.lens.translate(resid, layer, layout)
        return self.reader.whole(resid, layout)

    def _run(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> Float[Tensor, "batch labels"]:
        """What the rest of the model makes of a stream."""
        tower: HookedViT = self.reader.tower
        n_layers = tower.cfg.n_layers
        where = {"start_at_layer": layer + 1, "stop_at_layer": n_layers, "layout": layout}
        last = resid if layer == n_layers - 1 else tower(resid, **where)
        return self.reader.whole(last, layout)


def nearness(
    output: Float[Tensor, "batch labels"],
    read: Float[Tensor, "batch labels"],
    answer: Int[Tensor, " batch"],
) -> Float[Tensor, "3 batch"]:
    """KL to the output and entropy of what a lens reads, in nats, and the rank of the answer."""
    of_answer = read.gather(1, answer[:, None])
    logs = read.to(torch.promote_types(read.dtype, torch.float32)).log_softmax(-1)
    entropy = -(logs.exp() * logs).sum(-1)
    rank = (read > of_answer).sum(-1)
    return torch.stack([divergence(output, read), entropy, rank.to(entropy)])


def agreement(
    expected: Float[Tensor, "*batch labels"], found: Float[Tensor, "*batch labels"]
) -> Float[Tensor, "2 *batch"]:
    """Cosine of two changes, and the second as a multiple of the first, by least squares."""
    product = (expected * found).sum(-1)
    lengths = expected.norm(dim=-1), found.norm(dim=-1)
    tiny = torch.finfo(expected.dtype).tiny
    cosine = product / (lengths[0] * lengths[1]).clamp_min(tiny)
    return torch.stack([cosine, product / lengths[0].square().clamp_min(tiny)])


def _centered(logits: Float[Tensor, "*batch labels"]) -> Float[Tensor, "*batch labels"]:
    return logits - logits.mean(-1, keepdim=True)


def _require_gradable(reader: Reader, n_classes: int, step: float) -> None:
    if not reader.pools:
        raise ValueError(
            "`evaluate_lens` needs a model with one output per image; got one with an output per "
            "token. Choose a pooling."
        )
    if not 1 <= n_classes <= len(reader.names):
        raise ValueError(
            f"`n_classes` must lie in 1..{len(reader.names)}, the number of classes; got "
            f"{n_classes}. Pass fewer."
        )
    if not 0 < step < 1:
        raise ValueError(f"`step` must lie between 0 and 1; got {step}. Try 0.05.")
