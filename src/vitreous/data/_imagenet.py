"""What ImageNet's classes are called, how they belong together, and an emoji for each."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import resources

from vitreous._optional import needs
from vitreous.data._class_names import ClassNames, synonyms
from vitreous.data._imagenet_colors import family_colors

# What timm calls the list of a dataset with that many classes. The counts tell the lists apart.
_TIMM_LISTS = {
    11221: "imagenet-21k-miil",
    11821: "imagenet-12k",
    21841: "imagenet-22k",
    21842: "imagenet-22k-ms",
    21843: "imagenet-21k-goog",
}
_ENOUGH = 0.95  # of a list's names, to be ImageNet's

IMAGENET_SIZES: tuple[int, ...] = (1000, *_TIMM_LISTS)
"""How many classes the lists have that `imagenet_names` knows."""


def _read() -> ClassNames:
    """Reads our table: a line per class with synset id, emoji, group and WordNet's lemmas.

    Emoji and groups are our own. An emoji shows the sense that the class has (the crane at 134
    wades, the one at 517 lifts); a class that has no emoji gets that of its nearest relative or
    of what it is used with.

    References:
        Ids, order and lemmas are those of ImageNet's challenge of 2012 (Russakovsky et al.,
        "ImageNet Large Scale Visual Recognition Challenge", 2015) and WordNet 3.0 (Princeton
        University), as timm lists them: `imagenet_synsets.txt`, `imagenet_synset_to_lemma.txt`.
    """
    table = (resources.files("vitreous.data") / "imagenet.tsv").read_text(encoding="utf-8")
    ids, emoji, groups, names = zip(*(line.split("\t") for line in table.splitlines()), strict=True)
    return ClassNames(names, emoji, groups, family_colors(groups), ids)


IMAGENET = _read()
"""The 1000 classes, each with emoji, group, color and synset id."""


def imagenet_names(n_classes: int) -> ClassNames:
    """The names of a head that was trained on ImageNet, told by the number of its classes.

    Args:
        n_classes: 1000, or the size of one of the lists behind "ImageNet-21k" and "-12k", which
            are read from timm: 21841 (all of the release of fall 2011), 21843 (Google's), 21842
            (Microsoft's), 11821 (timm's own 12k), 11221 (the processed one of MIIL). These have
            synset ids, but neither emoji nor groups.

    Raises:
        ValueError: No list has that many classes.
        MissingDependencyError: The list is timm's, which is not installed.
    """
    if n_classes == len(IMAGENET):
        return IMAGENET
    if n_classes not in _TIMM_LISTS:
        raise ValueError(
            f"`n_classes` must be one of {', '.join(map(str, IMAGENET_SIZES))}; got {n_classes}. "
            f"Pass the number of classes that an ImageNet head has."
        )
    return _from_timm(n_classes)


def recognized_names(names: Iterable[str]) -> ClassNames:
    """Names as a checkpoint gives them, with all that we know of them where they are ImageNet's.

    They are ImageNet's where nearly all of 1000 begin with one of our names for that class: some
    sources list the first name alone, or tell two classes of one name apart in words of their own.
    """
    given = ClassNames(tuple(names))
    if len(given) != len(IMAGENET):
        return given
    pairs = ((a.casefold(), b.casefold()) for a, b in zip(given, IMAGENET, strict=True))
    same = sum(synonyms(theirs)[0] in synonyms(ours) for theirs, ours in pairs)
    return replace(IMAGENET, names=given.names) if same >= _ENOUGH * len(given) else given


@cache
def _from_timm(n_classes: int) -> ClassNames:
    data = needs("timm.data", extra="timm", feature=f"imagenet_names({n_classes})")
    info = data.ImageNetInfo(_TIMM_LISTS[n_classes])
    return ClassNames(tuple(info.label_descriptions()), synset_ids=tuple(info.label_names()))
