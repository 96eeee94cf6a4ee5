"""From figures to places in a picture, and the round numbers to label an axis with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear axis.

    Attributes:
        low, high: ends of the axis.
        ticks: round numbers between them.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Place of a value, 0..1; what lies outside ends up at the rim."""
        return max(0.0, min(1.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True, kw_only=True)
class SignedLogScale:
    """An axis that is linear around zero and logarithmic far away: asinh(value / unit).

    Attributes:
        low, high: ends of the axis.
        unit: where the one becomes the other.
        ticks: round numbers between the ends, the roundest first; more than there is room for.
    """

    low: float
    high: float
    unit: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Place of a value, 0..1."""
        first, last = math.asinh(self.low / self.unit), math.asinh(self.high / self.unit)
        return max(0.0, min(1.0, (math.asinh(value / self.unit) - first) / (last - first)))


def round_scale(values: Sequence[float], *, include: Sequence[float] = (), steps: int = 5) -> Scale:
    """A scale with round ends that holds all values.

    Args:
        values: to be shown; finite.
        include: further values that have to lie on it, like 0.
        steps: about how many ticks.
    """
    low, high = min([*values, *include]), max([*values, *include])
    step = _round_step((high - low) / steps or abs(high) / steps or 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(index * step for index in range(first, last + 1))
    return Scale(low=ticks[0], high=ticks[-1], ticks=ticks)


def signed_log_scale(values: Sequence[float]) -> SignedLogScale:
    """A scale for numbers of either sign that differ by powers of ten."""
    magnitudes = sorted(abs(value) for value in values if value)
    unit = magnitudes[len(magnitudes) // 2] / 4 if magnitudes else 1.0
    low, high = min([*values, 0.0]), max([*values, 0.0])
    low, high = (low, high) if high > low else (-1.0, 1.0)
    power = round(math.log10(unit)) if unit > 0 else 0
    steps = [factor * 10.0**exponent for factor in (1, 5, 2) for exponent in range(power, power + 8)]
    ticks = [sign * step for step in steps for sign in (1, -1) if low <= sign * step <= high]
    return SignedLogScale(low=low, high=high, unit=unit, ticks=(0.0, *ticks))


def _round_step(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
