"""Ratios of paired rounds, and their interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsq_export.device.ratios import ratio_of


@given(seed=st.integers(0, 200), ratio=st.floats(0.2, 5))
def test_interval_holds_its_estimate_and_repeats(seed: int, ratio: float) -> None:
    random = np.random.default_rng(seed)
    quantized = random.lognormal(0, 0.1, 60)
    baseline = ratio * quantized * random.lognormal(0, 0.05, 60)
    found = ratio_of(baseline, quantized)
    assert found.low <= found.ratio <= found.high
    assert found == ratio_of(baseline, quantized)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        quantized = random.lognormal(0, 0.2, 40)
        found = ratio_of(2 * quantized * random.lognormal(0, 0.1, 40), quantized)
        covered += found.low <= 2 <= found.high
    assert covered >= 180


def test_noise_that_both_share_leaves_no_doubt() -> None:
    quantized = np.random.default_rng(0).lognormal(0, 1, 50)
    found = ratio_of(2 * quantized, quantized)
    assert (found.low, found.ratio, found.high) == pytest.approx((2, 2, 2))
