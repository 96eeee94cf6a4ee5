from __future__ import annotations

import numpy as np
import pytest

from zsq_export.planning.plan import Role, TensorPlan
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.ranges import RangeMeter, clip_range


def activation(name: str, *, scale: float = 0.1, zero_point: int = 10, role: Role = Role.ACTIVATION) -> TensorPlan:
    qparams = QParams(scale=(scale,), zero_point=(zero_point,), dtype=QuantDtype.UINT8)
    return TensorPlan(tensor=name, role=role, qparams=qparams, uses=())


def test_the_range_is_what_the_integers_can_hold() -> None:
    assert clip_range(activation("a")) == pytest.approx((-1.0, 24.5))


def test_what_was_seen_and_how_much_of_it_was_clipped() -> None:
    meter = RangeMeter((activation("a"),), {"a": (-1.0, 20.0)})
    meter.add({"a": np.float32([[0, 24.54, 24.6, -2]]), "b": np.float32([1])})
    meter.add({"a": np.float32([[1, 2, 3, 4]])})
    (found,) = meter.result({"a": 3}, 2, InputOrigin.REAL).tensors
    assert (found.position, found.bits, found.seen_low) == (3, 8, -2.0) and found.seen_high == pytest.approx(24.6)
    assert found.clipped == 0.25, "24.54 lies within half a step of 24.5"
    assert (found.calibration_low, found.calibration_high) == (-1.0, 20.0)


def test_inputs_come_first_and_weights_not_at_all() -> None:
    meter = RangeMeter((activation("z"), activation("x"), activation("w", role=Role.WEIGHT)), {})
    meter.add({name: np.float32([1]) for name in "zxw"})
    report = meter.result({"z": 0}, 1, InputOrigin.SYNTHETIC)
    assert [(entry.tensor, entry.position) for entry in report.tensors] == [("x", -1), ("z", 0)]
    assert report.tensors[0].calibration_low is None


def test_numbers_that_are_not_finite_stay_out_of_the_report() -> None:
    meter = RangeMeter((activation("a"),), {})
    meter.add({"a": np.float32([np.inf, np.nan])})
    (found,) = meter.result({}, 1, InputOrigin.REAL).tensors
    assert np.isfinite([found.seen_low, found.seen_high]).all()
