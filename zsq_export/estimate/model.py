"""The small model behind an estimate: a probit line through a few features, with a width per regime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_SURE = 1e-4
"""Shares closer than this to 0 or 1 are not told apart."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What was fitted on the evaluation assets.

    Attributes:
        weights: of the features, the constant first.
        half_widths: of the interval, in probits: where the quantized model follows the float one, and elsewhere.
        coverage: share of the intervals that held the measured figure when each model was left out in turn.
        cells, models: that were fitted on.
    """

    weights: tuple[float, ...]
    half_widths: tuple[float, float]
    coverage: float
    cells: int
    models: int

    def value(self, features: Sequence[float]) -> float:
        """Predicted probit of the agreement.

        Args:
            features: without the constant.
        """
        return self.weights[0] + sum(w * x for w, x in zip(self.weights[1:], features, strict=True))


def probit(share: float) -> float:
    """Φ⁻¹ of a share, which is kept away from 0 and 1."""
    return _NORMAL.inv_cdf(min(max(share, _SURE), 1 - _SURE))


def percent_of(value: float) -> float:
    """100·Φ of a probit."""
    return 100 * _NORMAL.cdf(value)


def root_mean_square(values: Sequence[float]) -> float:
    """Of at least one value."""
    return math.sqrt(sum(value**2 for value in values) / len(values))
