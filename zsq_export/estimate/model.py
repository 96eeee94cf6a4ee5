"""The small model behind an estimate: from what is seen to what is to be expected, in probits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
_SURE = 5e-4
"""Shares closer than this to 1 are not told apart: a few hundred samples do not show them."""

NOTHING = 0.03
"""Agreement beyond chance that a few hundred samples do not tell from none."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What was fitted on the evaluation assets.

    Attributes:
        level: probit to be expected where the quantized model follows the float one, whatever else is seen.
        per_radian: disagreement per radian at small angles; counts where it says less than ``level`` does.
        knots: probits of what is seen on held-out inputs, where the line bends for models that do not follow.
        values: probits of what is to be expected there, at an angle of one radian.
        slope: probits that are lost per radian beyond one.
        half_widths: of the interval, in probits: where the quantized model follows the float one, and elsewhere.
        coverage: share of the intervals that held the measured figure when each model was left out in turn.
        cells, models: that were fitted on.
    """

    level: float
    per_radian: float
    knots: tuple[float, ...]
    values: tuple[float, ...]
    slope: float
    half_widths: tuple[float, float]
    coverage: float
    cells: int
    models: int

    def near(self, angle: float) -> float:
        """To be expected where the quantized model follows the float one."""
        return max(self.level, wide_probit(1 - self.per_radian * angle))

    def far(self, seen: float, angle: float) -> float:
        """To be expected where it does not: the line at a probit, level beyond the knots, turned by the angle."""
        return min(self.level, float(np.interp(seen, self.knots, self.values)) - self.slope * (angle - 1))


def probit(share: float) -> float:
    """Φ⁻¹ of a share, which is kept away from 0 and 1."""
    return _NORMAL.inv_cdf(min(max(share, NOTHING), 1 - _SURE))


def wide_probit(share: float) -> float:
    """The same, nearly up to 1."""
    return _NORMAL.inv_cdf(min(max(share, 1e-6), 1 - 1e-6))


def share_of(value: float) -> float:
    """Φ of a probit."""
    return _NORMAL.cdf(value)


def root_mean_square(values: Sequence[float]) -> float:
    """Of at least one value."""
    return math.sqrt(sum(value**2 for value in values) / len(values))
