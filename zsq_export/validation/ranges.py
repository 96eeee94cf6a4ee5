"""Ranges seen against ranges chosen: what the inputs put through the network, and what the plan lets through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.planning.plan import Role, TensorPlan
from zsq_export.validation.figures import InputOrigin

Arrays = Mapping[str, NDArray[np.float32]]
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class TensorRange:
    """One quantized activation.

    Attributes:
        tensor: its name.
        position: of the node that computes it, in execution order; -1 for a graph input.
        low, high: the clip range chosen; values outside are clipped.
        bits: of its integers.
        seen_low, seen_high: smallest and largest value of the float model over the samples.
        clipped: share of the values outside the clip range by more than half a step, 0..1.
        calibration_low, calibration_high: seen or derived in calibration; None where the artifact does not say.
    """

    tensor: str
    position: int
    low: float
    high: float
    bits: int
    seen_low: float
    seen_high: float
    clipped: float
    calibration_low: float | None
    calibration_high: float | None


@dataclass(frozen=True, kw_only=True)
class RangeReport:
    """Ranges along the network.

    Attributes:
        tensors: in execution order.
        samples: behind what was seen.
        inputs: real or synthetic.
    """

    tensors: tuple[TensorRange, ...]
    samples: int
    inputs: InputOrigin


@dataclass
class _Seen:
    low: float = math.inf
    high: float = -math.inf
    outside: int = 0
    values: int = 0


class RangeMeter:
    """Watches the float model's activations, batch by batch.

    Args:
        tensors: of the plan; weights and biases, and what has a range per channel, are left out.
        calibration: tensor name -> range seen in calibration.
    """

    def __init__(self, tensors: Sequence[TensorPlan], calibration: Mapping[str, tuple[float, float]]) -> None:
        self._tensors = {
            entry.tensor: entry for entry in tensors if entry.role is Role.ACTIVATION and entry.qparams.axis is None
        }
        self._calibration = calibration
        self._seen: dict[str, _Seen] = {}

    def add(self, trace: Arrays) -> None:
        """Adds one batch: tensor name -> values of the float model; other tensors are passed over."""
        for name, plan in self._tensors.items():
            if name in trace:
                _watch(self._seen.setdefault(name, _Seen()), trace[name], plan)

    def result(self, positions: Mapping[str, int], samples: int, inputs: InputOrigin) -> RangeReport:
        """The ranges over all batches.

        Args:
            positions: tensor name -> place of its node; those without are graph inputs.
            samples: that were added.
            inputs: real or synthetic.
        """
        found = [self._range(name, seen, positions.get(name, -1)) for name, seen in self._seen.items()]
        ordered = sorted(found, key=lambda entry: (entry.position, entry.tensor))
        return RangeReport(tensors=tuple(ordered), samples=samples, inputs=inputs)

    def _range(self, name: str, seen: _Seen, position: int) -> TensorRange:
        low, high = clip_range(self._tensors[name])
        calibrated = self._calibration.get(name)
        return TensorRange(
            tensor=name,
            position=position,
            low=low,
            high=high,
            bits=self._tensors[name].qparams.width,
            seen_low=_finite(seen.low),
            seen_high=_finite(seen.high),
            clipped=seen.outside / max(seen.values, 1),
            calibration_low=None if calibrated is None else calibrated[0],
            calibration_high=None if calibrated is None else calibrated[1],
        )


def clip_range(plan: TensorPlan) -> tuple[float, float]:
    """Smallest and largest real number that an activation with one scale can hold."""
    (scale,), (zero,) = plan.qparams.scale, plan.qparams.zero_point
    low, high = plan.qparams.limits
    return scale * (low - zero), scale * (high - zero)


def _watch(seen: _Seen, values: NDArray[np.float32], plan: TensorPlan) -> None:
    low, high = clip_range(plan)
    half = plan.qparams.scale[0] / 2
    seen.low = min(seen.low, float(values.min(initial=math.inf)))
    seen.high = max(seen.high, float(values.max(initial=-math.inf)))
    seen.outside += int(np.count_nonzero(values < low - half)) + int(np.count_nonzero(values > high + half))
    seen.values += values.size


def _finite(value: float) -> float:
    return 0.0 if math.isnan(value) else max(-_LARGEST, min(_LARGEST, value))
