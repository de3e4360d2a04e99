"""Numbers in tables are what they are called."""

import numpy as np
import pytest

from benchmarks._spread import in_percent, mean_and_error, share_of
from benchmarks._timing import compare


def test_a_share_has_the_interval_of_a_binomial():
    drawn = np.random.default_rng(0).binomial(400, 0.25, 20_000) / 400
    low, high = np.quantile(drawn, (0.025, 0.975))
    said, half = map(float, share_of(np.arange(400) < 100).split(" ± "))
    assert said == 25
    assert half == pytest.approx(100 * (high - low) / 2, abs=0.2)


def test_resamples_are_told_by_their_middle_95_percent():
    assert in_percent(0.5, np.linspace(0, 1, 201)) == "50.0 (2.5 .. 97.5)"


def test_an_error_of_a_mean_shrinks_with_the_root_of_the_count():
    assert mean_and_error(np.array([1.0, 3.0]), 2) == "2.00 ± 1.00"
    assert mean_and_error(np.array([1.0, 3.0] * 8), 2) == "2.00 ± 0.26"


def test_a_comparison_swaps_its_order_and_takes_ratios_pair_by_pair():
    now, order = [0.0], []

    def work(name: str, seconds: float):
        def run() -> None:
            order.append(name)
            now[0] += seconds * len(order)  # a machine that gets slower and slower

        return run

    found = compare(work("ours", 2), work("theirs", 1), 8, lambda: now[0])
    assert order == ["ours", "theirs", "theirs", "ours"] * 5 or order == [
        *["theirs", "ours", "ours", "theirs"] * 5
    ]
    assert found.ratio == pytest.approx(2, rel=0.05)
    row = found.row("work", "passes", 1.3)
    assert row["ratio"] == round(found.ratio, 3)
    assert row["must be at most"] == 1.3
    assert row["passes"] == f"{found.theirs * 1e3:.0f} ms"
