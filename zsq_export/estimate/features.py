"""What the outputs of a float and a quantized model on one set of inputs say of their agreement elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.validation.comparison import class_scores, close_values, top_class

FloatArray = NDArray[np.float32]

SMALLEST_ANGLE = 1e-4
"""Radians; two outputs that are this close are taken to be equal."""


@dataclass(frozen=True, kw_only=True)
class SetFeatures:
    """One set of inputs.

    Attributes:
        samples: how many.
        agreement: share of samples, or of values, that agree, 0..1.
        expected: the same as the noise on the margins makes it likely, smoother than the count, 0..1.
        angle: root mean square of the angle between the centred outputs of the two models, radians.
        sqnr_db: of the outputs.
    """

    samples: int
    agreement: float
    expected: float
    angle: float
    sqnr_db: float


def set_features(reference: FloatArray, other: FloatArray) -> SetFeatures:
    """Features of one output.

    Args:
        reference: of the float model, [samples, ...].
        other: of the quantized one.
    """
    scores = class_scores(reference)
    if scores is None:
        share = float(close_values(reference, other).mean())
        agreement = expected = share
        flat = reference.reshape(len(reference), -1)
    else:
        flat = scores
        found = other.reshape(scores.shape)
        agreement = float(np.mean(top_class(scores) == top_class(found)))
        expected = expected_agreement(scores, found)
    exact = flat.astype(np.float64)
    noise = float(np.sum((exact - other.reshape(flat.shape)) ** 2))
    return SetFeatures(
        samples=len(reference),
        agreement=agreement,
        expected=expected,
        angle=_angle(exact, other.reshape(flat.shape).astype(np.float64)),
        sqnr_db=_decibels(float(np.sum(exact**2)), noise),
    )


def expected_agreement(scores: FloatArray, other: FloatArray) -> float:
    """Mean probability that the best class stays ahead of the second: Φ(gain · margin / noise).

    The margin of the quantized model is taken to be ``gain · margin + noise``: a range that clips shrinks all margins
    alike and flips nothing. Gain and noise are fitted to the set (least squares, small margins weighing as much as
    large ones).

    Args:
        scores: class scores of the float model, [samples, classes].
        other: of the quantized one.
    """
    rows = np.arange(len(scores))
    order = np.argsort(scores, axis=1)
    best, second = order[:, -1], order[:, -2]
    margin = (scores[rows, best] - scores[rows, second]).astype(np.float64)
    found = (other[rows, best] - other[rows, second]).astype(np.float64)
    if not np.isfinite(found).all():
        return 0.0
    weight = 1.0 / np.maximum(margin, 0.2 * float(np.median(margin)) + 1e-12)
    gain = float(np.sum(weight * margin * found) / max(float(np.sum(weight * margin**2)), 1e-30))
    noise = math.sqrt(float(np.mean((found - gain * margin) ** 2)))
    if noise == 0.0:
        return float(np.mean(gain * margin >= 0))
    return float(np.mean([_normal_cdf(value) for value in gain * margin / noise]))


def _angle(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    first, second = (array - array.mean(axis=1, keepdims=True) for array in (reference, other))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.sum(first * second, axis=1) / lengths
    cosines = np.where(np.isfinite(cosines), cosines, 0.0).clip(-1.0, 1.0)
    return max(SMALLEST_ANGLE, float(np.sqrt(np.mean(np.arccos(cosines) ** 2))))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return 200.0
    if signal == 0.0 or not math.isfinite(noise):
        return -200.0
    return float(np.clip(10 * math.log10(signal / noise), -200.0, 200.0))


def _normal_cdf(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))
