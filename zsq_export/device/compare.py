"""The quantized model against the float model's outputs, for whoever looks at the device only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LIMIT_DB = 200.0


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """One output.

    Attributes:
        output: name.
        sqnr_db: 10·log10(Σ reference² / Σ error²), within ±200.
        agreement: share of samples whose largest score is the same, percent; None for what holds no class scores.
        top1_float, top1_quantized: share of samples whose largest score is the label's, percent; None without labels.
    """

    output: str
    sqnr_db: float
    agreement: float | None
    top1_float: float | None
    top1_quantized: float | None


def compare(
    name: str, reference: NDArray[np.float32], found: NDArray[np.float32], labels: NDArray[np.int64] | None
) -> Fidelity:
    """Compares one output over all samples, [samples, ...] each, sample by sample."""
    signal = error = 0.0
    for expected, own in zip(reference, found, strict=True):
        exact = expected.astype(np.float64)
        signal += float(np.sum(exact**2))
        error += float(np.sum((exact - own.reshape(expected.shape)) ** 2))
    expected_classes, own_classes = _classes(reference), _classes(found)
    return Fidelity(
        output=name,
        sqnr_db=_decibels(signal, error),
        agreement=_share(expected_classes, own_classes),
        top1_float=_share(labels, expected_classes),
        top1_quantized=_share(labels, own_classes),
    )


def _decibels(signal: float, error: float) -> float:
    if error == 0:
        return _LIMIT_DB
    if signal == 0 or not math.isfinite(error):
        return -_LIMIT_DB
    return max(-_LIMIT_DB, min(_LIMIT_DB, 10 * math.log10(signal / error)))


def _classes(scores: NDArray[np.float32]) -> NDArray[np.int64] | None:
    """The class of each sample, for outputs with one axis longer than 1 beside the samples."""
    if sum(side != 1 for side in scores.shape[1:]) != 1:
        return None
    return np.asarray(scores.reshape(len(scores), -1).argmax(axis=1), np.int64)


def _share(first: NDArray[np.int64] | None, second: NDArray[np.int64] | None) -> float | None:
    return None if first is None or second is None else 100 * float(np.mean(first == second))
