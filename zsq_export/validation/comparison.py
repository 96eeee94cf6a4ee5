"""Meters that compare two models over many batches without keeping their outputs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zsq_export.validation.figures import Agreement, InputOrigin, OutputFidelity
from zsq_export.validation.forecast import AgreementKind

SQNR_LIMIT_DB = 200.0
"""Stands for "no error at all" (+) and "no signal, or an output that is not finite" (-): JSON has no infinity."""

VALUE_TOLERANCE = 0.05
"""Of the spread (standard deviation) of a sample's output. Of a Gaussian error 99 % lie within it at an SQNR of 34 dB
against that spread: then a picture of 29 dB PSNR loses 0.1 dB (docs/estimate.md)."""

FloatArray = NDArray[np.float32]


class SignalMeter:
    """Signal and error power of one tensor, summed over batches in float64."""

    def __init__(self) -> None:
        self._signal = 0.0
        self._error = 0.0

    def add(self, reference: FloatArray, other: FloatArray) -> None:
        """Adds one batch; both arrays have the same shape."""
        exact = reference.astype(np.float64)
        self._signal += float(np.sum(exact**2))
        self._error += float(np.sum((exact - other) ** 2))

    @property
    def sqnr_db(self) -> float:
        """10·log10(Σ reference² / Σ error²), limited to ±``SQNR_LIMIT_DB``."""
        if self._error == 0:
            return SQNR_LIMIT_DB
        if self._signal == 0 or not math.isfinite(self._error):
            return -SQNR_LIMIT_DB
        decibels = 10 * math.log10(self._signal / self._error)
        return max(-SQNR_LIMIT_DB, min(SQNR_LIMIT_DB, decibels))


class OutputMeter:
    """Everything that is said of one output against its reference."""

    def __init__(self, name: str, inputs: InputOrigin) -> None:
        self._name = name
        self._inputs = inputs
        self._signal = SignalMeter()
        self._samples = 0
        self._cosine = 0.0
        self._largest = 0.0
        self._shares: list[NDArray[np.float64]] = []
        self._shape: tuple[int, ...] = ()
        self._has_classes = False

    def add(self, reference: FloatArray, other: FloatArray) -> None:
        """Adds one batch, [samples, ...] each."""
        scores = class_scores(reference)
        self._signal.add(reference, other)
        self._shape, self._has_classes = reference.shape[1:], scores is not None
        self._samples += len(reference)
        self._cosine += float(np.sum(_cosines(reference, other)))
        self._largest = max(self._largest, _largest_difference(reference, other))
        self._shares.append(
            close_values(reference, other)
            if scores is None
            else (top_class(scores) == top_class(other.reshape(scores.shape))).astype(np.float64)
        )

    def result(self) -> OutputFidelity:
        """The figures over all batches."""
        return OutputFidelity(
            output=self._name,
            shape=self._shape,
            sqnr_db=self._signal.sqnr_db,
            cosine=self._cosine / self._samples,
            max_abs_error=self._largest,
            agreement=self._agreement(),
            samples=self._samples,
            inputs=self._inputs,
        )

    def _agreement(self) -> Agreement:
        shares = np.concatenate(self._shares)
        if self._has_classes:
            return agreement_of(int(shares.sum()), self._samples, self._inputs)
        return value_agreement(shares, self._inputs)


def class_scores(output: FloatArray) -> FloatArray | None:
    """The output as [samples, classes] if it looks like class scores: one axis longer than 1 beside the batch."""
    longer = [side for side in output.shape[1:] if side != 1]
    return output.reshape(len(output), longer[0]) if len(longer) == 1 else None


def top_class(scores: FloatArray) -> NDArray[np.int64]:
    """Index of the largest score of each sample; -1 where a score is NaN, so that it agrees with nothing."""
    return np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1))


def agreement_of(same: int, samples: int, inputs: InputOrigin) -> Agreement:
    """Share of equal classes, with the binomial standard error.

    The error is taken at (same + 2) / (samples + 4), Agresti & Coull 1998, so that 100 % does not claim to be exact.
    """
    smoothed = (same + 2) / (samples + 4)
    error = math.sqrt(smoothed * (1 - smoothed) / (samples + 4))
    return Agreement(percent=100 * same / samples, standard_error=100 * error, samples=samples, inputs=inputs)


def value_tolerance(reference: FloatArray) -> NDArray[np.float64]:
    """How far a value of each sample may be off: 5 % of the standard deviation of the sample's values.

    Args:
        reference: float32 [samples, ...].

    Returns:
        float64 [samples, 1].
    """
    flat = reference.reshape(len(reference), -1).astype(np.float64)
    return np.asarray(VALUE_TOLERANCE * flat.std(axis=1, keepdims=True))


def close_values(reference: FloatArray, other: FloatArray) -> NDArray[np.float64]:
    """Share of each sample's values that lie within :func:`value_tolerance`; NaN is close to nothing.

    Args:
        reference: float32 [samples, ...].
        other: of the same shape.

    Returns:
        float64 [samples], 0..1.
    """
    with np.errstate(invalid="ignore"):
        error = np.abs(reference.astype(np.float64) - other).reshape(len(reference), -1)
    return np.asarray((error <= value_tolerance(reference)).mean(axis=1), np.float64)


def value_agreement(shares: NDArray[np.float64], inputs: InputOrigin) -> Agreement:
    """Agreement of an output without classes: the mean share of close values, with its standard error."""
    error = float(shares.std(ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else 1.0
    return Agreement(
        percent=100 * float(shares.mean()),
        standard_error=100 * error,
        samples=len(shares),
        inputs=inputs,
        kind=AgreementKind.VALUES,
    )


def _cosines(reference: FloatArray, other: FloatArray) -> NDArray[np.float64]:
    first, second = (array.reshape(len(array), -1).astype(np.float64) for array in (reference, other))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore"):
        products = np.sum(first * second, axis=1)
    equal = np.all(first == second, axis=1).astype(np.float64)
    usable = np.isfinite(lengths) & (lengths > 0)
    cosines: NDArray[np.float64] = np.where(usable, products / np.where(usable, lengths, 1), equal)
    return cosines.clip(-1, 1)


def _largest_difference(reference: FloatArray, other: FloatArray) -> float:
    with np.errstate(invalid="ignore"):
        difference = float(np.max(np.abs(reference - other), initial=0.0))
    return difference if math.isfinite(difference) else float(np.finfo(np.float32).max)
