"""The pictures that come with the package are there."""

from pathlib import Path

import pytest

from vitreous import UnknownNameError
from vitreous.data import SAMPLES, open_image, sample


def test_every_picture_has_its_name_in_the_list_and_opens():
    folder = Path(sample()).parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{n}.png" for n in SAMPLES)
    assert [open_image(sample(name)).size for name in SAMPLES] == [(64, 64)]


def test_an_unknown_picture():
    with pytest.raises(UnknownNameError, match=r"No sample is named 'digti'\. Nearest: digit\."):
        sample("digti")
