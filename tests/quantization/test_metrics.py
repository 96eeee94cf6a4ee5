"""Signal to noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zsq_export.quantization.metrics import sqnr_db


def test_a_tenth_of_the_amplitude_is_20_db() -> None:
    reference = np.array([3.0, -4.0])
    assert sqnr_db(reference, reference * 1.1) == pytest.approx(20.0)


def test_equal_tensors_have_no_noise() -> None:
    assert sqnr_db(np.ones(3), np.ones(3)) == math.inf
    assert sqnr_db(np.zeros(3), np.ones(3)) == -math.inf


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="differ"):
        sqnr_db(np.ones(2), np.ones((2, 1)))
