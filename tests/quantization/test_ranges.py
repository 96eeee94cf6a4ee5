"""Scales and zero points cover their range and keep zero exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsq_export.quantization.dtypes import QuantDtype, QuantSpec
from zsq_export.quantization.linear import fake_quantize
from zsq_export.quantization.ranges import qparams_from_range

_BOUND = st.floats(-1e6, 1e6, allow_subnormal=False)
_SPECS = st.builds(
    QuantSpec,
    dtype=st.sampled_from([QuantDtype.INT8, QuantDtype.UINT8, QuantDtype.INT16, QuantDtype.INT4, QuantDtype.UINT4]),
    symmetric=st.booleans(),
    narrow_range=st.booleans(),
)


@given(first=_BOUND, second=_BOUND, spec=_SPECS)
def test_zero_is_exact_and_every_value_is_within_one_step(first: float, second: float, spec: QuantSpec) -> None:
    low, high = sorted((first, second))
    qparams = qparams_from_range(low, high, spec)
    assert fake_quantize(np.zeros(1), qparams)[0] == 0.0
    values = np.linspace(low, high, 50).astype(np.float32)
    step = qparams.scale[0]
    assert np.all(np.abs(fake_quantize(values, qparams) - values) <= step * 1.01 + 1e-30)


@given(first=_BOUND, second=_BOUND, spec=_SPECS)
def test_symmetric_means_a_zero_point_in_the_middle(first: float, second: float, spec: QuantSpec) -> None:
    qparams = qparams_from_range(*sorted((first, second)), spec)
    if spec.symmetric:
        assert qparams.zero_point[0] == (0 if spec.dtype.signed else 2 ** (spec.dtype.bits - 1))


def test_a_range_of_positive_numbers_uses_all_integers() -> None:
    qparams = qparams_from_range(0.0, 25.5, QuantSpec(dtype=QuantDtype.UINT8, symmetric=False))
    assert qparams.zero_point == (0,) and qparams.scale[0] == pytest.approx(25.5 / 255)


def test_a_range_without_zero_is_widened_to_it() -> None:
    qparams = qparams_from_range(5.0, 10.0, QuantSpec(dtype=QuantDtype.UINT8, symmetric=False))
    assert qparams.zero_point == (0,) and qparams.scale[0] == pytest.approx(10 / 255)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_dead_tensor_gets_a_usable_scale(symmetric: bool) -> None:
    assert qparams_from_range(0.0, 0.0, QuantSpec(dtype=QuantDtype.INT8, symmetric=symmetric)).scale == (1.0,)


def test_a_tiny_range_does_not_make_a_denormal_scale() -> None:
    scale = qparams_from_range(0.0, 1e-44, QuantSpec(dtype=QuantDtype.UINT8, symmetric=False)).scale[0]
    assert scale >= np.finfo(np.float32).tiny


@pytest.mark.parametrize("bounds", [(math.nan, 1.0), (0.0, math.inf), (2.0, 1.0)])
def test_no_interval_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not an interval"):
        qparams_from_range(*bounds, QuantSpec(dtype=QuantDtype.INT8, symmetric=True))
