"""The small model behind an estimate: a bent line from what is seen to what is to be expected, both in probits."""

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
        knots: probits of what is seen on held-out inputs, where the line bends.
        values: probits of what is to be expected there.
        half_widths: of the interval, in probits: where the quantized model follows the float one, and elsewhere.
        coverage: share of the intervals that held the measured figure when each model was left out in turn.
        cells, models: that were fitted on.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    half_widths: tuple[float, float]
    coverage: float
    cells: int
    models: int

    def value(self, seen: float) -> float:
        """The line at a probit; level beyond the knots."""
        return float(np.interp(seen, self.knots, self.values))


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
