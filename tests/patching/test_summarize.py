"""Mean and interval over pairs."""

import numpy as np
import pytest
import xarray

from vitreous.patching import summarize


def dataset(values: np.ndarray) -> xarray.Dataset:
    dims = ("pair", "layer", "head")[: values.ndim]
    return xarray.Dataset(
        {"effect": (dims, values), "clean": ("pair", values.reshape(len(values), -1)[:, 0])},
        coords={"pair": range(len(values))},
        attrs={"unit": "logit"},
    )


def test_the_mean_is_the_mean_and_n_is_told():
    values = np.random.default_rng(0).normal(size=(7, 2, 3))
    found = summarize(dataset(values), "pair")
    np.testing.assert_allclose(found["effect"].sel(statistic="mean"), values.mean(0))
    assert found["effect"].dims == ("statistic", "layer", "head")
    assert int(found["n"]) == 7
    assert found.attrs["unit"] == "logit"
    assert "bootstrap" in found.attrs["interval"]


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, hits = np.random.default_rng(1), 0
    draws = rng.normal(3.0, 2.0, size=(40, 1, 400))  # 400 experiments of 40 pairs
    found = summarize(dataset(draws), confidence=0.9)["effect"]
    low, high = found.sel(statistic="low"), found.sel(statistic="high")
    hits = float(((low < 3.0) & (high > 3.0)).mean())
    assert 0.84 < hits < 0.94
    # As wide as the normal interval of a mean.
    assert float((high - low).mean()) == pytest.approx(2 * 1.645 * 2 / 40**0.5, rel=0.08)


def test_two_calls_agree_and_another_seed_differs():
    data = dataset(np.random.default_rng(2).normal(size=(9, 2)))
    xarray.testing.assert_identical(summarize(data), summarize(data))
    assert not summarize(data, seed=1)["effect"].equals(summarize(data)["effect"])


def test_one_pair_has_no_interval():
    found = summarize(dataset(np.ones((1, 2))))["effect"]
    assert found.sel(statistic="mean").to_numpy().tolist() == [1, 1]
    assert np.isnan(found.sel(statistic=["low", "high"])).all()


def test_the_same_value_of_all_pairs_has_an_interval_of_no_width():
    found = summarize(dataset(np.full((5, 2), 2.5)))["effect"]
    np.testing.assert_allclose(found, 2.5)
