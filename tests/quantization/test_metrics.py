"""Signal to noise and cosine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zsq_export.quantization.metrics import cosine_similarity, sqnr_db


def test_a_tenth_of_the_amplitude_is_20_db() -> None:
    reference = np.array([3.0, -4.0])
    assert sqnr_db(reference, reference * 1.1) == pytest.approx(20.0)


def test_equal_tensors_have_no_noise() -> None:
    assert sqnr_db(np.ones(3), np.ones(3)) == math.inf
    assert sqnr_db(np.zeros(3), np.ones(3)) == -math.inf


def test_cosine() -> None:
    assert cosine_similarity(np.array([1.0, 0.0]), np.array([0.0, 2.0])) == 0.0
    assert cosine_similarity(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == pytest.approx(1.0)
    assert cosine_similarity(np.zeros(2), np.zeros(2)) == 1.0
    assert cosine_similarity(np.zeros(2), np.ones(2)) == 0.0


@pytest.mark.parametrize("metric", [sqnr_db, cosine_similarity])
def test_shapes_must_agree(metric: object) -> None:
    with pytest.raises(ValueError, match="differ"):
        metric(np.ones(2), np.ones((2, 1)))  # type: ignore[operator]
