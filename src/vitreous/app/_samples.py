"""Which of the pictures that come with the package a model is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vitreous._errors import unknown
from vitreous.data import DIGIT_NAMES, SAMPLES, sample
from vitreous.models import HookedViT
from vitreous.terrarium import SAMPLE_SCENES, WORLD_KINDS, Scene, sample_scene


@dataclass(frozen=True)
class Sample:
    """A picture that comes with the package.

    Attributes:
        name: What `--sample` calls it.
        classes: Those of the models that it goes with.
        open: Gives the picture of that name.
    """

    name: str
    classes: tuple[str, ...]
    open: Callable[[str], Path | Scene]

    @property
    def picture(self) -> Path | Scene:
        """A file, or what a file would show."""
        return self.open(self.name)

    def goes_with(self, model: HookedViT) -> bool:
        """Whether the model's classes are the picture's."""
        return model.labels is not None and model.labels.names == self.classes


# A model's first is the one that it is shown by default.
_ALL = {
    each.name: each
    for each in (
        *(Sample(name, WORLD_KINDS, sample_scene) for name in SAMPLE_SCENES),
        *(Sample(name, DIGIT_NAMES.names, sample) for name in SAMPLES),
    )
}


def find_sample(name: str) -> Sample:
    """The sample of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in _ALL:
        raise unknown("sample", name, _ALL, f"There are: {', '.join(_ALL)}.")
    return _ALL[name]


def sample_for(model: HookedViT, named: Sample | None, model_name: str) -> Sample:
    """The named sample, if the model can be shown it, or by default the first that goes with it.

    A model of other classes than all samples, such as ImageNet's, can be shown any, but by name
    only.

    Raises:
        ValueError: The named sample goes with other models, or none is named and none goes with it.
    """
    own = [each for each in _ALL.values() if each.goes_with(model)]
    if named is None and not own:
        raise ValueError(
            f"IMAGE must be given where no sample has the model's classes; got none for "
            f"`{model_name}`. Pass a file, or one of these with `--sample`: {', '.join(_ALL)}."
        )
    if named is not None and own and named not in own:
        raise ValueError(
            f"`--sample` must go with the model; got {named.name!r} for `{model_name}`, whose "
            f"classes are others. It goes with: {', '.join(each.name for each in own)}."
        )
    return named or own[0]
