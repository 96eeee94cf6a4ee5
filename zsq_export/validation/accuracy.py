"""Accuracy of the float and the quantized model on the same labelled samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.validation.comparison import FloatArray, top_class
from zsq_export.validation.figures import Accuracy, InputOrigin

_CLASSES_FOR_TOP5 = 10


class AccuracyMeter:
    """Counts right answers of two models, sample by sample, so that their difference can be judged as a paired one."""

    def __init__(self, output: str, inputs: InputOrigin) -> None:
        self._output = output
        self._inputs = inputs
        self._right: list[NDArray[np.bool_]] = []
        self._right5: list[NDArray[np.bool_]] = []

    def add(self, scores: FloatArray, quantized: FloatArray, labels: NDArray[np.int64]) -> None:
        """Adds one batch.

        Args:
            scores: of the float model, [samples, classes].
            quantized: of the quantized model, likewise.
            labels: right class of each sample.

        Raises:
            DataError: a label that the model has no class for.
        """
        classes = scores.shape[1]
        if labels.max() >= classes:
            raise DataError(
                f"the data has class index {int(labels.max())}, but output {self._output!r} has {classes} classes",
                hint="classes count from 0 in the model's order; a labels.txt can give that order",
            )
        self._right.append(np.stack([top_class(answers) == labels for answers in (scores, quantized)]))
        if classes >= _CLASSES_FOR_TOP5:
            self._right5.append(np.stack([_in_top5(answers, labels) for answers in (scores, quantized)]))

    def result(self) -> Accuracy:
        """The figures over all batches."""
        right = np.concatenate(self._right, axis=1)
        top1 = 100 * right.mean(axis=1)
        top5 = 100 * np.concatenate(self._right5, axis=1).mean(axis=1) if self._right5 else None
        return Accuracy(
            output=self._output,
            top1_float=float(top1[0]),
            top1_quantized=float(top1[1]),
            top5_float=None if top5 is None else float(top5[0]),
            top5_quantized=None if top5 is None else float(top5[1]),
            drop=float(top1[0] - top1[1]),
            drop_standard_error=100 * paired_standard_error(right[0], right[1]),
            samples=right.shape[1],
            inputs=self._inputs,
        )


def paired_standard_error(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Standard error of the mean of ``first - second`` over the same samples: s / √n with s the sample deviation.

    Only samples on which the two differ add to it, so it is far smaller than that of two unpaired shares.

    Returns:
        As a share, 0..1; 0 for fewer than two samples.
    """
    difference = first.astype(np.float64) - second.astype(np.float64)
    return float(difference.std(ddof=1) / math.sqrt(len(difference))) if len(difference) > 1 else 0.0


def _in_top5(scores: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    within: NDArray[np.bool_] = (scores > own).sum(axis=1) < 5
    return within
