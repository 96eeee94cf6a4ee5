"""Rounding that lets later weights take back the error of earlier ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DAMPING = 0.1
"""Added to the diagonal, as a share of its mean. Ten times the 0.01 of the paper: the covariance is that of synthetic
inputs, and what they say of rare directions is not to be trusted."""

_BLOCK = 64

Floats = NDArray[np.float64]

Limits = tuple[int, int] | tuple[NDArray[np.int64], NDArray[np.int64]]
"""Smallest and largest integer: of all rows, or int64 [groups, outputs]."""


def gptq(
    weight: NDArray[np.float32],
    covariance: NDArray[Any],
    scale: NDArray[np.float32],
    limits: Limits,
) -> NDArray[np.int64]:
    """Integers whose error, weighted by the covariance of the inputs, is small: ``tr((W - sQ) C (W - sQ)^T)``.

    One column is rounded at a time, that of the largest variance first; each goes where the errors of those before it
    are best made up for. Source: Frantar et al., GPTQ, ICLR 2023 (arXiv:2210.17323), algorithm 1 with ordering by
    variance, computed as Babai's nearest plane: the same integers from one Cholesky factor, without an inverse (Chen
    et al., arXiv:2507.18553). The covariance is centred, as the mean error is taken back by bias correction.

    Args:
        weight: float32 [groups, outputs, columns].
        covariance: of the inputs that the columns are multiplied with, [groups, columns, columns].
        scale: float32 [groups, outputs].
        limits: smallest and largest integer, counted from the zero point.

    Returns:
        int64 [groups, outputs, columns], counted from the zero point.
    """
    second = np.asarray(covariance, dtype=np.float64)
    order = np.argsort(-np.diagonal(second, axis1=1, axis2=2), axis=1, kind="stable")[:, ::-1]
    columns = weight.astype(np.float64) / scale[:, :, None].astype(np.float64)
    by_column = np.ascontiguousarray(np.take_along_axis(columns, order[:, None, :], 2).transpose(0, 2, 1))
    rounded = _rounded_backwards(by_column, _followed(second, order), limits).transpose(0, 2, 1)
    return np.take_along_axis(rounded, np.argsort(order, axis=1)[:, None, :], 2).astype(np.int64)


def _followed(second: Floats, order: NDArray[np.intp]) -> Floats:
    """Element [j, k], j > k: how much of the error in column j column k makes up for, once all behind j are rounded.

    The Cholesky factor of the damped matrix, columns in the given order, each divided by its diagonal.
    """
    size = second.shape[1]
    level = np.diagonal(second, axis1=1, axis2=2).mean(axis=1)
    damped = second + np.eye(size) * (DAMPING * level + 1e-12)[:, None, None]
    ordered = np.take_along_axis(np.take_along_axis(damped, order[:, :, None], 1), order[:, None, :], 2)
    factor = np.linalg.cholesky(ordered)
    return np.asarray(factor / np.diagonal(factor, axis1=1, axis2=2)[:, None, :])


def _rounded_backwards(columns: Floats, followed: Floats, limits: Limits) -> Floats:
    """Integers as float64 [groups, columns, outputs], from the last column to the first.

    Block by block, so that most of the work is matrix products.
    """
    rounded, errors = np.empty_like(columns), np.empty_like(columns)
    for last in range(columns.shape[1], 0, -_BLOCK):
        first = max(0, last - _BLOCK)
        targets = columns[:, first:last] + followed[:, last:, first:last].transpose(0, 2, 1) @ errors[:, last:]
        for index in range(last - 1, first - 1, -1):
            made_up = followed[:, None, index + 1 : last, index] @ errors[:, index + 1 : last]
            target = targets[:, index - first] + made_up[:, 0]
            rounded[:, index] = np.clip(np.rint(target), *limits)
            errors[:, index] = columns[:, index] - rounded[:, index]
    return rounded
