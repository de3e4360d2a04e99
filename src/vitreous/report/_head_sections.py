"""From evidence of one head to a page: which picture shows which number, and in what words."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import xarray

from vitreous.heads import HEAD_SCORES
from vitreous.report._average_maps import average_maps
from vitreous.report._earned import earned, earned_by_head
from vitreous.report._head_evidence import HeadEvidence
from vitreous.report._sections import signed
from vitreous.view import Bars, HeadCards, HeadMap, Page, PatchStrip, Picture, Section, TokenMap

_CLASSES = 6
_ANSWERS = 8


def make_head_page(
    evidence: HeadEvidence,
    pictures: Mapping[int, Picture],
    title: str | None,
    subtitle: str,
    footer: Mapping[str, str],
) -> Page:
    """Lays the evidence out on a page.

    Args:
        evidence: All numbers.
        pictures: Those of the images that are shown, by place.
        title: Heading of the page; by default the head and the first name that it earns.
        subtitle: What head, of which model.
        footer: Where all this comes from.
    """
    return Page(
        title=title or _title(evidence),
        subtitle=subtitle,
        facts=_facts(evidence),
        sections=[
            _attends(evidence),
            _responds(evidence, pictures),
            _writes(evidence),
            _without(evidence),
        ],
        footer=footer,
    )


def _title(evidence: HeadEvidence) -> str:
    if evidence.names:
        return str(evidence.names[0])
    return f"L{evidence.layer}H{evidence.head}: a head without a name"


def _facts(evidence: HeadEvidence) -> dict[str, str]:
    also = ", ".join(earned(name) for name in evidence.names[1:])
    facts = {"also": also} if also else {}
    if evidence.effects is None:
        return facts
    mean = float(evidence.effects["effect"].sel(head=evidence.head).mean())
    facts["effect on the answer’s lead without it"] = f"{signed(mean, 3)} logits"
    if evidence.n_changed is not None:
        facts["other answers without it"] = f"{evidence.n_changed} of {evidence.n_images}"
    return facts


def _attends(evidence: HeadEvidence) -> Section:
    names = earned_by_head(evidence.names)
    cards = HeadCards(_maps(evidence), names, heads=[(evidence.layer, evidence.head)])
    return Section(
        "Where it looks",
        [cards, _score_bars(evidence.scores)],
        lede="Its attention, averaged over images. By offset, the framed middle is the patch that "
        "looks, and a cell is the patch that far away from it.",
        note="Scores are 0 for a head that attends to all alike and 1 for one that attends as the "
        "name says alone, and negative for one that avoids it; whiskers span a standard deviation "
        f"over images. A name takes {_thresholds()}, and describes attention, not what the head "
        "does with it.",
        columns=(4, 3),
    )


def _thresholds() -> str:
    """What scores need for a name: the usual value, and the exceptions."""
    needed = {row.name: row.threshold for row in HEAD_SCORES.values() if row.title is not None}
    usual = Counter(needed.values()).most_common(1)[0][0]
    others = [f"{value:g} for {name}" for name, value in needed.items() if value != usual]
    return f"{usual:g}, but {' and '.join(others)}"


def _maps(evidence: HeadEvidence) -> list[HeadMap]:
    """The head's mean patterns at its place among others, which are not there."""
    means = evidence.profile[["by_offset", "by_cls", "received"]]
    alone = means.expand_dims({"layer": evidence.layer + 1, "head": evidence.head + 1})
    return average_maps(alone, evidence.layout)


def _score_bars(scores: xarray.Dataset) -> Bars:
    is_known = [
        HEAD_SCORES[str(name)].title is not None and bool(np.isfinite(value))
        for name, value in zip(scores["score"].values, scores["mean"].values, strict=True)
    ]
    known = scores.isel(score=is_known)
    known = known.isel(score=np.argsort(-known["mean"].values, kind="stable"))
    mean, spread = known["mean"].values, np.nan_to_num(known["spread"].values)
    bests = zip(known["score"].values, known["best"].values, strict=True)
    return Bars(
        [f"{name} ({best})" if best else str(name) for name, best in bests],
        mean.astype(np.float32),
        caption="Scores",
        intervals=np.stack([mean - spread, mean + spread], axis=1).astype(np.float32),
    )


def _responds(evidence: HeadEvidence, pictures: Mapping[int, Picture]) -> Section:
    profile, tokens = evidence.profile, TokenMap.of(evidence.layout)
    norms, patch_norms = profile["top_image_norm"].values, profile["top_patch_norm"].values
    whole, parts = profile["top_image"].values, profile["top_patch_image"].values
    patches = [str(name) for name in profile["top_patch"].values]
    images = PatchStrip(
        [pictures[int(place)] for place in whole],
        tokens,
        [f"image {place}: {norm:.2f}" for place, norm in zip(whole, norms, strict=True)],
        caption="Images that it writes most on (norm, mean over tokens)",
    )
    strongest = PatchStrip(
        [pictures[int(place)] for place in parts],
        tokens,
        [
            f"image {place}, {name}: {norm:.2f}"
            for place, name, norm in zip(parts, patches, patch_norms, strict=True)
        ],
        profile["top_patch_pattern"].values,
        [tokens.names.index(name) for name in patches],
        unit="attention of the framed patch",
        caption="Patches that it writes most at (norm), one of each image, and where they look",
    )
    return Section(
        "What it responds to",
        [images, strongest],
        lede="How much a head writes at a token is the length of what it adds to the stream there. "
        "A framed patch is where it writes; colors show where it reads that from.",
        note="A head may write much that later layers take back or ignore.",
    )


def _writes(evidence: HeadEvidence) -> Section:
    found = evidence.directions
    title = "What it reads and writes"
    if isinstance(found, str):
        return Section(title, [], note=f"Not shown. {found}")
    names = _class_labels(evidence, found)
    viewers = []
    for place in range(found.sizes["component"]):
        one = found.isel(component=place)
        gain = float(one["singular_value"])
        reads = f"Direction {place}: what it sees (cosine)"
        writes = f"What it then says (logits at scale one, gain {gain:.2f})"
        viewers += [_most(one["left"], names, reads), _most(one["right"], names, writes)]
    return Section(
        title,
        viewers,
        lede="The directions along which the head's values and outputs work most (the singular "
        "vectors of W_V W_O), read by class: on the left what it picks up where it looks, on the "
        "right what that adds to the answer.",
        note="Of the weights alone, with norms folded in; a pair may be read with both signs "
        "turned. Classes are near one another in this space, so several go together.",
        columns=(1, 1),
    )


def _class_labels(evidence: HeadEvidence, found: xarray.Dataset) -> list[str]:
    if evidence.classes is None or len(evidence.classes) != found.sizes["label"]:
        return [str(name) for name in found["label"].values]
    return [evidence.classes.label(label) for label in range(len(evidence.classes))]


def _most(along: xarray.DataArray, names: list[str], caption: str) -> Bars:
    values = along.to_numpy()
    order = np.argsort(-np.abs(values), kind="stable")[:_CLASSES]
    return Bars(
        [names[label] for label in order], values[order].astype(np.float32), caption=caption
    )


def _without(evidence: HeadEvidence) -> Section:
    title, effects = "What happens without it", evidence.effects
    if effects is None or evidence.classes is None:
        return Section(title, [], note="Not shown. The model has no classes, and so no answers.")
    changed = ""
    if evidence.n_changed is not None:
        changed = f" {evidence.n_changed} of {evidence.n_images} answers change."
    return Section(
        title,
        [_by_answer(evidence, effects), _by_neighbor(effects, evidence.layer)],
        lede="Its output is replaced by its mean, at all positions, and the rest of the model runs "
        "on. Orange: the lead of the model's own answer over the best other one falls, so the head "
        f"spoke for it.{changed}",
        note=f"Whose mean: {effects.attrs['reference']}. Whiskers span a standard deviation over "
        "images.",
        columns=(1, 1),
    )


def _by_answer(evidence: HeadEvidence, effects: xarray.Dataset) -> Bars:
    assert evidence.classes is not None
    values = effects["effect"].sel(head=evidence.head).to_numpy()
    answers = effects["answer"].to_numpy()
    groups = {int(answer): values[answers == answer] for answer in np.unique(answers)}
    strongest = sorted(groups, key=lambda answer: -abs(groups[answer].sum()))[:_ANSWERS]
    labels = [f"{evidence.classes.label(each)} ({len(groups[each])})" for each in strongest]
    caption = "By the model’s answer (number of images)"
    return _means_of(labels, [groups[each] for each in strongest], caption)


def _by_neighbor(effects: xarray.Dataset, layer: int) -> Bars:
    values = effects["effect"].transpose("head", "image").to_numpy()
    labels = [f"L{layer}H{head}" for head in range(len(values))]
    return _means_of(labels, list(values), f"All heads of layer {layer}")


def _means_of(labels: list[str], groups: list[np.ndarray], caption: str) -> Bars:
    mean = np.array([group.mean() for group in groups])
    spread = np.array([group.std() for group in groups])
    intervals = np.stack([mean - spread, mean + spread], axis=1).astype(np.float32)
    return Bars(
        labels, mean.astype(np.float32), unit="logits", caption=caption, intervals=intervals
    )
