"""What the outputs of a float and a quantized model on one set of inputs say of their agreement elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.validation.comparison import class_scores, close_values, top_class

FloatArray = NDArray[np.float32]

SMALLEST_ANGLE = 1e-4
"""Radians; two outputs that are this close are taken to be equal."""

TRIMMED = 0.1
"""Share of the samples left out at either end of the shares of close values. Those are counted against the spread of
the sample, so that one faint picture of a few dozen can halve its share: the plain mean moved by 3 points from seed to
seed, and lay 2.6 below that of 158 photographs where 120 were drawn (ESPCN); without a tenth it lies 0.5 below."""


@dataclass(frozen=True, kw_only=True)
class SetFeatures:
    """One set of inputs.

    Attributes:
        samples: how many.
        agreement: share of samples, or of values, that agree, 0..1.
        angle: root mean square of the angle between the centred outputs of the two models, radians.
        sqnr_db: of the outputs.
        usual: share of a usual sample's values that agree; the agreement where there are classes.
        classes: top class of each sample in the float model and in the quantized one; empty where there are none.
    """

    samples: int
    agreement: float
    angle: float
    sqnr_db: float
    usual: float
    classes: tuple[tuple[int, int], ...] = ()


def set_features(reference: FloatArray, other: FloatArray) -> SetFeatures:
    """Features of one output.

    Args:
        reference: of the float model, [samples, ...].
        other: of the quantized one.
    """
    scores = class_scores(reference)
    pairs: tuple[tuple[int, int], ...] = ()
    if scores is None:
        shares = close_values(reference, other)
        agreement, usual = float(shares.mean()), trimmed_mean(shares)
    else:
        tops = (top_class(array).tolist() for array in (scores, other.reshape(scores.shape)))
        pairs = tuple(zip(*tops, strict=True))
        agreement = usual = float(np.mean([first == second for first, second in pairs]))
    exact = reference.reshape(len(reference), -1).astype(np.float64)
    found = other.reshape(exact.shape).astype(np.float64)
    return SetFeatures(
        samples=len(reference),
        agreement=agreement,
        angle=_angle(exact, found),
        sqnr_db=_decibels(float(np.sum(exact**2)), float(np.sum((exact - found) ** 2))),
        usual=usual,
        classes=pairs,
    )


def trimmed_mean(shares: NDArray[np.float64]) -> float:
    """Mean without the largest and the smallest tenth.

    Args:
        shares: [samples], at least one.
    """
    cut = int(TRIMMED * len(shares))
    return float(np.sort(shares)[cut : len(shares) - cut].mean())


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Agreement beyond chance.

    Attributes:
        value: Cohen's kappa, (agreement - chance) / (1 - chance).
        chance: how often two models would agree that name classes as often as these two, independently.
    """

    value: float
    chance: float


def kappa_of(sets: Sequence[SetFeatures]) -> Kappa:
    """Cohen's kappa (1960) over several sets that weigh the same, however many samples they hold.

    A quantized model that gives one class for everything agrees often with a float model that has a favourite class on
    synthetic inputs; kappa does not count that.

    Args:
        sets: with classes.
    """
    agreement = _smoothed(sum(seen.agreement for seen in sets) / len(sets), sum(seen.samples for seen in sets))
    shares = [_class_shares(sets, column) for column in (0, 1)]
    chance = sum(share * shares[1].get(name, 0.0) for name, share in shares[0].items())
    return Kappa(value=1.0 if chance >= 1 else (agreement - chance) / (1 - chance), chance=chance)


def _smoothed(share: float, samples: int) -> float:
    """Two successes and two failures more, Agresti & Coull 1998: samples that all agree do not prove 100 %."""
    return (share * samples + 2) / (samples + 4)


def _class_shares(sets: Sequence[SetFeatures], column: int) -> dict[int, float]:
    shares: dict[int, float] = {}
    for seen in sets:
        for pair in seen.classes:
            shares[pair[column]] = shares.get(pair[column], 0.0) + 1 / (len(seen.classes) * len(sets))
    return shares


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
