"""Rounding that lets later weights take back the error of earlier ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DAMPING = 0.1
"""Added to the diagonal, as a share of its mean. Ten times the 0.01 of the paper: the covariance is that of synthetic
inputs, and what they say of rare directions is not to be trusted."""

_BLOCK = 64

Limits = tuple[int, int] | tuple[NDArray[np.int64], NDArray[np.int64]]
"""Smallest and largest integer: of all rows, or int64 [groups, outputs]."""


def gptq(
    weight: NDArray[np.float32],
    covariance: NDArray[Any],
    scale: NDArray[np.float32],
    limits: Limits,
) -> NDArray[np.int64]:
    """Integers whose error, weighted by the covariance of the inputs, is small: ``tr((W - sQ) C (W - sQ)^T)``.

    One column is rounded at a time, that of the largest variance first; the columns not yet rounded move so as to
    make up for its error. Source: Frantar et al., GPTQ, ICLR 2023 (arXiv:2210.17323), algorithm 1 with ordering by
    variance; the covariance is centred, as the mean error is taken back by bias correction.

    Args:
        weight: float32 [groups, outputs, columns].
        covariance: of the inputs that the columns are multiplied with, [groups, columns, columns].
        scale: float32 [groups, outputs].
        limits: smallest and largest integer, counted from the zero point.

    Returns:
        int64 [groups, outputs, columns], counted from the zero point.
    """
    second = torch.from_numpy(np.asarray(covariance, dtype=np.float64))
    order = torch.argsort(second.diagonal(dim1=1, dim2=2), dim=1, descending=True, stable=True)
    columns = torch.from_numpy(weight.astype(np.float64) / scale[:, :, None].astype(np.float64))
    columns = torch.gather(columns, 2, order[:, None, :].expand_as(columns))
    rounded = _round_columns(columns, _compensation(second, order), _tensors(limits))
    back = torch.argsort(order, dim=1)
    restored: NDArray[np.int64] = torch.gather(rounded, 2, back[:, None, :].expand_as(rounded)).long().numpy()
    return restored


def _tensors(limits: Limits) -> tuple[Tensor, Tensor]:
    low, high = (torch.as_tensor(limit, dtype=torch.float64) for limit in limits)
    return low, high


def _compensation(second: Tensor, order: Tensor) -> Tensor:
    """Upper Cholesky factor of the inverse of the damped, reordered matrix: row j says how columns > j follow j."""
    size = second.shape[1]
    level = second.diagonal(dim1=1, dim2=2).mean(dim=1)
    damped = second + torch.eye(size, dtype=second.dtype) * (DAMPING * level + 1e-12)[:, None, None]
    rows = torch.gather(damped, 1, order[:, :, None].expand_as(damped))
    sorted_both = torch.gather(rows, 2, order[:, None, :].expand_as(rows))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(sorted_both))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor


def _round_columns(columns: Tensor, factor: Tensor, limits: tuple[Tensor, Tensor]) -> Tensor:
    """Block by block, so that most of the work is matrix products."""
    rounded = torch.empty_like(columns)
    size = columns.shape[2]
    for first in range(0, size, _BLOCK):
        last = min(first + _BLOCK, size)
        block, local = columns[:, :, first:last], factor[:, first:last, first:last]
        errors = torch.empty_like(block)
        for index in range(last - first):
            column = block[:, :, index]
            nearest = torch.minimum(torch.maximum(column.round(), limits[0]), limits[1])
            rounded[:, :, first + index] = nearest
            errors[:, :, index] = (column - nearest) / local[:, index, index, None]
            block[:, :, index + 1 :] -= errors[:, :, index, None] * local[:, index, None, index + 1 :]
        columns[:, :, last:] -= errors @ factor[:, first:last, last:]
    return rounded
