"""Angles and kappa: what the outputs on held-out inputs are boiled down to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsq_export.estimate.features import SMALLEST_ANGLE, SetFeatures, kappa_of, set_features

RNG = np.random.default_rng(0)
SCORES = RNG.normal(0.0, 3.0, (400, 10)).astype(np.float32)


def noisy(deviation: float, seed: int = 1) -> np.ndarray:
    return SCORES + np.random.default_rng(seed).normal(0.0, deviation, SCORES.shape).astype(np.float32)


def test_equal_outputs_agree() -> None:
    found = set_features(SCORES, SCORES.copy())
    assert (found.agreement, found.angle, found.sqnr_db) == (1.0, SMALLEST_ANGLE, 200.0)
    assert found.classes == tuple((top, top) for top in SCORES.argmax(axis=1).tolist())


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(0.05, 20.0), seed=st.integers(0, 100))
def test_a_gain_flips_nothing(gain: float, seed: int) -> None:
    plain, louder = (set_features(SCORES, (factor * noisy(0.3, seed)).astype(np.float32)) for factor in (1.0, gain))
    assert louder.angle == pytest.approx(plain.angle, abs=1e-3) and louder.classes == plain.classes


def test_more_noise_means_less_agreement_and_wider_angles() -> None:
    found = [set_features(SCORES, noisy(deviation)) for deviation in (0.02, 0.1, 0.5, 2.0, 8.0)]
    assert all(a.agreement >= b.agreement and a.angle < b.angle for a, b in itertools.pairwise(found))
    assert all(a.sqnr_db > b.sqnr_db for a, b in itertools.pairwise(found))


def test_nan_agrees_with_nothing() -> None:
    found = set_features(SCORES, np.full_like(SCORES, np.nan))
    assert found.agreement == 0.0 and found.sqnr_db == -200.0 and found.angle == pytest.approx(np.pi / 2)


def test_outputs_without_classes_count_close_values() -> None:
    picture = RNG.normal(0.0, 1.0, (4, 1, 20, 20)).astype(np.float32)
    off = np.float32(0.1) * (RNG.uniform(size=picture.shape) < 0.25).astype(np.float32)
    found = set_features(picture, picture + off)
    assert found.agreement == pytest.approx(0.75, abs=0.06) and not found.classes


def test_one_faint_sample_does_not_pull_the_usual_share_down() -> None:
    pictures = RNG.normal(0.0, 1.0, (10, 1, 20, 20)).astype(np.float32)
    pictures[3] *= np.float32(0.01)
    noise = RNG.normal(0.0, 0.005, pictures.shape).astype(np.float32)
    found = set_features(pictures, pictures + noise)
    assert found.usual == pytest.approx(1.0) and found.agreement == pytest.approx(0.9, abs=0.02)
    assert set_features(SCORES, noisy(0.5)).usual == set_features(SCORES, noisy(0.5)).agreement


def test_a_constant_output_has_no_direction() -> None:
    flat = np.ones((3, 10), np.float32)
    assert set_features(flat, flat).angle == pytest.approx(np.pi / 2)


def with_classes(pairs: list[tuple[int, int]]) -> SetFeatures:
    same = sum(first == second for first, second in pairs) / len(pairs)
    return SetFeatures(samples=len(pairs), agreement=same, angle=0.1, sqnr_db=20.0, usual=same, classes=tuple(pairs))


def test_kappa_does_not_count_what_a_constant_answer_gets_right() -> None:
    constant = kappa_of([with_classes([(0, 0)] * 95 + [(1, 0)] * 5)])
    assert constant.value < 0.05 and constant.chance == pytest.approx(0.95)
    faithful = kappa_of([with_classes([(i % 10, i % 10) for i in range(400)])])
    assert 0.98 < faithful.value < 1 and faithful.chance == pytest.approx(0.1)


def test_sets_weigh_the_same_however_large() -> None:
    good = with_classes([(i % 4, i % 4) for i in range(1000)])
    bad = with_classes([(i % 4, (i + 1) % 4) for i in range(40)])
    assert kappa_of([good, bad]).value == pytest.approx((0.5 - 0.25) / 0.75, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_kappa_is_at_most_one(pairs: list[tuple[int, int]]) -> None:
    found = kappa_of([with_classes(pairs)])
    assert found.value <= 1.0 and 0 <= found.chance <= 1 + 1e-9
