"""Bad input to views gets one line that names it."""

import numpy as np
import pytest

from vitreous.view import Bars, scatter


def test_whiskers_have_two_ends_each():
    with pytest.raises(ValueError, match=r"1 bars need as many intervals .* got shape \(2, 2\)\."):
        Bars(["a"], np.ones(1), intervals=np.ones((2, 2)))


def test_points_have_a_value_both_ways():
    with pytest.raises(ValueError, match=r"`y` must have one entry per point; got 3 for 2\. Pass"):
        scatter(np.zeros(2), np.zeros(3), ["a", "b"])
