"""From evidence to a page: which picture shows which number, and in what words."""

from collections.abc import Sequence

import numpy as np

from vitreous.report._earned import earned_by_head
from vitreous.report._evidence import Evidence, Provenance
from vitreous.view import (
    AttentionGallery,
    Bars,
    HeatMap,
    ImageGrid,
    Page,
    PatchLens,
    Picture,
    Section,
    SourceShares,
    TokenMap,
)

_TOP = 5
_LARGEST = 8
_WARNINGS = 5
_KINDS = {
    "embed": "embedding",
    "pos_embed": "positions",
    "attn": "attention",
    "mlp": "MLP",
    "pooling_mlp": "pooling MLP",
}
_READ = {
    "cls": "The prediction is read from the class token, which joined them.",
    "first": "The prediction is read from the first token.",
    "mean": "The prediction is read from their mean.",
    "cls_mean": "The prediction is read from the class token, which joined them, and their mean.",
    "map": "The prediction is read from all of them by one more attention, which pools them.",
}
_READERS = {
    "cls": "class token",
    "first": "first token",
    "mean": "mean of the patches",
    "cls_mean": "class token and the mean",
    "map": "pooled token",
}
_LENS_NOTES = {
    "cls": "Only the class token's entry at the last block is the prediction. Patches were never "
    "trained to be read, and nothing reads them after the last block, so take what they say as a "
    "hint.",
    "mean": "The model pools its tokens before the head, so single patches were never trained to "
    "be read alone.",
}
_NAMED = " Names are those that heads have earned on a data set; they describe attention alone."


def make_page(evidence: Evidence, provenance: Provenance, title: str | None) -> Page:
    """Lays the evidence out on a page."""
    picture, tokens = Picture.of(evidence.pixels), TokenMap.of(evidence.layout)
    return Page(
        title=title or _title(evidence),
        subtitle=f"{provenance.model} looks at {provenance.image}",
        facts={
            "prediction": prediction_line(evidence),
            f"target: {evidence.question.text}": signed(evidence.value),
        },
        sections=[
            _seen(evidence, picture, tokens),
            _lens(evidence, picture, tokens),
            _shares(evidence),
            _sources(evidence, picture, tokens),
            _attention(evidence, picture, tokens),
            _ablation(evidence),
        ],
        footer=provenance.facts,
    )


def prediction_line(evidence: Evidence) -> str:
    """The top prediction with its probability: "3 (97.1%)"."""
    top = evidence.ranking[0]
    return f"{evidence.named(top)} ({100 * evidence.probabilities[top]:.1f}%)"


def signed(value: float, decimals: int = 4) -> str:
    """A number with a true minus sign."""
    return f"{value:.{decimals}f}".replace("-", "−")


def _power(value: float) -> str:
    return "0" if value == 0 else f"{abs(value):.0e}".replace("e-", "e−")


def _title(evidence: Evidence) -> str:
    question = evidence.question
    name = f"“{evidence.named(question.label)}”"
    rival = None if question.minus is None else f"“{evidence.named(question.minus)}”"
    if question.label == evidence.ranking[0]:
        return f"Why {name} and not {rival}?" if rival else f"Why {name}?"
    return f"What speaks for {name} over {rival}?" if rival else f"What speaks for {name}?"


def _seen(evidence: Evidence, picture: Picture, tokens: TokenMap) -> Section:
    layout, top = evidence.layout, evidence.ranking[:_TOP]
    _, rows, columns = layout.grid
    height, width = layout.patch_size
    probabilities = evidence.probabilities[top].astype(np.float32)
    names = [evidence.named(label) for label in top]
    bars = Bars(names, probabilities, kind="probability", caption="Top predictions")
    return Section(
        "What the model sees",
        [ImageGrid(picture, tokens), bars],
        lede=f"The picture after preprocessing, cut into {rows} × {columns} patches of {height} × "
        f"{width} pixels. Each patch becomes one token. {_readout(evidence)}",
        columns=(2, 3),
    )


def _readout(evidence: Evidence) -> str:
    if evidence.pooling == "cls" and evidence.layout.distillation:
        return "The prediction is read from the class and the distillation token, which join them."
    return _READ[evidence.pooling]


def _lens(evidence: Evidence, picture: Picture, tokens: TokenMap) -> Section:
    question = evidence.question
    asked = [question.label] + ([] if question.minus is None else [question.minus])
    followed = list(dict.fromkeys([*asked, *evidence.ranking[:_TOP]]))
    viewer = PatchLens.of(evidence.lens, picture, tokens, evidence.classes, followed=followed)
    return Section(
        "What each patch says by now",
        [viewer],
        lede="If the model stopped at this layer and read its answer from this token: what would "
        "it say? Move the slider from the embedding to the last block; point at a patch to see "
        "its first three answers, and click it to follow them from layer to layer.",
        note="The logit lens applies the model's own last norm and head to each token. "
        f"{_LENS_NOTES.get(evidence.pooling, _LENS_NOTES['mean'])} The row of the whole head "
        "pools as the model does, and ends in the prediction.",
    )


def _shares(evidence: Evidence) -> Section:
    shares = evidence.layer_shares
    total = float(shares.sum())
    bars = Bars(
        _component_names(evidence),
        shares.to_numpy().astype(np.float32),
        total="sum = target",
        unit="logits",
        caption="By layer",
    )
    heads = _head_map(
        evidence.head_shares, "By head", "share of the target, in logits", ("against", "for")
    )
    return Section(
        "Who wrote this logit",
        [bars, heads],
        lede="Every part of the model adds its bit to the residual stream, and the answer is read "
        "off their sum. So the target splits into one share per part. Blue speaks for it, orange "
        "against it.",
        note=f"The shares add up to {signed(total)}; the target {evidence.question.text} is "
        f"{signed(evidence.value)}; residual {_power(evidence.residual)}. Shares count the direct "
        "path alone: what a part writes into the stream, read by the head with the last norm's "
        "scale held as in this run. An attention bar is its heads together with its output bias.",
        columns=(1, 1),
        warnings=_cut(evidence.misleading),
    )


def _cut(sentences: Sequence[str]) -> list[str]:
    shown, more = list(sentences[:_WARNINGS]), len(sentences) - _WARNINGS
    return shown if more <= 0 else [*shown, f"And {more} more, with smaller shares."]


def _sources(evidence: Evidence, picture: Picture, tokens: TokenMap) -> Section:
    reader = _READERS[evidence.pooling]
    viewer = SourceShares.of(evidence.source_shares, picture, tokens, reader=reader)
    return Section(
        f"Who told the {reader} what",
        [viewer],
        lede="What attention heads wrote can be divided once more, by the patch that they read it "
        "from. Blue patches spoke for the target, orange ones against it. Choose a head or a layer "
        "to see its part alone.",
        note="A patch's token in a later layer holds what earlier layers moved there, so a share "
        "says through which token the model heard it, not which pixels it came from.",
    )


def _component_names(evidence: Evidence) -> list[str]:
    kinds, layers = (evidence.layer_shares[word].to_numpy() for word in ("kind", "layer"))
    return [_component_name(str(kind), int(at)) for kind, at in zip(kinds, layers, strict=True)]


def _component_name(kind: str, layer: int) -> str:
    name = _KINDS.get(kind, kind.replace("_", " "))
    return name if layer < 0 else f"{name} {layer}"


def _head_map(values: np.ndarray, caption: str, unit: str, ends: tuple[str, str]) -> HeatMap:
    return HeatMap(values.astype(np.float32), unit=unit, caption=caption, ends=ends)


def _attention(evidence: Evidence, picture: Picture, tokens: TokenMap) -> Section:
    shares = np.abs(evidence.head_shares)
    order = np.argsort(-shares, axis=None, kind="stable")
    held = order[: AttentionGallery.capacity(evidence.scores.shape[-1])]
    places = [(int(i) // shares.shape[1], int(i) % shares.shape[1]) for i in held]
    left_out = shares.size - len(places)
    rest = f" A page can't hold all heads; {left_out} with the smallest direct shares are left out."
    names = earned_by_head(evidence.names)
    viewer = AttentionGallery(
        picture,
        tokens,
        evidence.scores,
        places[0],
        sorted(places),
        {place: "; ".join(name) for place, name in names.items() if place in places},
    )
    return Section(
        "Where each head looks",
        [viewer],
        lede="Choose a head, then point at a patch, or at a token that is no patch, to see which "
        "tokens it attends to from there. It opens at the head with the largest direct share.",
        note="Attention says where a head reads, not what it does with it."
        + (_NAMED if names else "")
        + (rest if left_out else ""),
    )


def _ablation(evidence: Evidence) -> Section:
    heads = _head_map(
        evidence.effects,
        "Effect of mean-ablating each head",
        "change of the target, in logits",
        ("spoke for", "spoke against"),
    )
    return Section(
        "What happens without each head",
        [heads, _largest(evidence.effects)],
        lede="One head at a time, its output is replaced by its mean. Orange: the target falls, so "
        "the head spoke for it. Blue: the target rises. Unlike a direct share, this counts what "
        "later layers make of the head.",
        note=f"Whose mean: {evidence.reference}.",
        columns=(1, 1),
    )


def _largest(effects: np.ndarray) -> Bars:
    order = np.argsort(-np.abs(effects), axis=None)[:_LARGEST]
    layers, heads = np.unravel_index(order, effects.shape)
    names = [f"layer {layer}, head {head}" for layer, head in zip(layers, heads, strict=True)]
    values = effects.ravel()[order].astype(np.float32)
    return Bars(names, values, unit="logits", caption="Largest effects")
