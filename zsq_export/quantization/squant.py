"""SQuant: weights rounded so that errors cancel within a kernel and within an output channel. No data, no gradient.

Source: Guo et al., "SQuant: On-the-Fly Data-Free Quantization via Diagonal Hessian Approximation", ICLR 2022. The
absolute sum of the rounding errors is made small (it is what a constant input feels), first over each kernel
("SQuant-K"), then over each output channel with one candidate per kernel ("SQuant-C"). An element only ever takes
one of its two neighbours on the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.linear import IntArray, broadcast_qparams, container
from zsq_export.quantization.qparams import QParams

Float32 = NDArray[np.float32]


def squant(weight: NDArray[Any], qparams: QParams, axis: int) -> IntArray:
    """Integers of a weight.

    Args:
        weight: real values; axis ``axis`` holds the output channels, the first of the others the input channels, and
            what is left is the kernel. Without a kernel (a matrix, or 1×1) only the second stage runs.
        qparams: the grid.
        axis: of the output channels.

    Returns:
        Integers of the same shape, each a neighbour of ``weight / scale``, in the type of
        :func:`zsq_export.quantization.linear.container`. Values outside the grid are clipped and take no part.
    """
    scale, zero_point = broadcast_qparams(qparams, weight.ndim)
    exact = np.moveaxis(np.asarray(weight, np.float32) / scale, axis, 0)
    shape = exact.shape
    low, high = (np.float32(bound) - zero_point.astype(np.float32) for bound in qparams.limits)
    clipped = np.clip(exact, *(np.moveaxis(np.broadcast_to(b, _channels(weight, axis)), axis, 0) for b in (low, high)))
    integers = flip_errors(np.ascontiguousarray(clipped).reshape(shape[0], shape[1] if len(shape) > 1 else 1, -1))
    restored = np.moveaxis(integers.reshape(shape), 0, axis) + zero_point.astype(np.float32)
    return np.asarray(restored, dtype=container(qparams.dtype))


def _channels(weight: NDArray[Any], axis: int) -> tuple[int, ...]:
    return tuple(side if index == axis % weight.ndim else 1 for index, side in enumerate(weight.shape))


def flip_errors(exact: Float32) -> Float32:
    """Both stages.

    Args:
        exact: float32 [outputs, inputs, kernel], values in steps of the grid and within its limits.

    Returns:
        Integers as float32, each within 1 of ``exact``.
    """
    integers = np.rint(exact)
    error = integers - exact
    outputs, inputs, size = exact.shape
    if size == 1:
        _flip(integers.reshape(outputs, inputs), error.reshape(outputs, inputs), error.reshape(outputs, inputs).sum(1))
        return integers
    kernels = error.reshape(-1, size)
    _flip(integers.reshape(-1, size), kernels, kernels.sum(1))
    sums = kernels.sum(1)
    # One candidate per kernel: its largest error in the direction of what is left of its sum.
    chosen = (kernels * np.sign(sums)[:, None]).argmax(1)[:, None]
    candidates = np.take_along_axis(kernels, chosen, 1).reshape(outputs, inputs)
    steps = np.zeros_like(candidates)
    _flip(steps, candidates, sums.reshape(outputs, inputs).sum(1))
    flat = integers.reshape(-1, size)
    np.put_along_axis(flat, chosen, np.take_along_axis(flat, chosen, 1) + steps.reshape(-1, 1), 1)
    return integers


def _flip(integers: Float32, error: Float32, total: Float32) -> None:
    """In each row moves the round(|total|) elements of largest error with the total's sign by one step, in place.

    Args:
        integers: [rows, elements].
        error: [rows, elements], of the integers; follows them.
        total: [rows], the excess to be taken away.
    """
    sign = np.sign(total)[:, None]
    directed = error * sign
    count = np.minimum(np.rint(np.abs(total)).astype(np.int64), np.count_nonzero(directed > 0, axis=1))
    last = directed.shape[1] - 1
    # The k-th largest is enough of an order: sorting values is several times faster than sorting indices.
    threshold = np.take_along_axis(np.sort(directed, axis=1), np.clip(last + 1 - count, 0, last)[:, None], 1)
    threshold[count == 0] = np.inf
    flipped = directed >= threshold
    for row in np.flatnonzero(np.count_nonzero(flipped, axis=1) != count):
        flipped[row] = False
        flipped[row, np.argsort(-directed[row], kind="stable")[: count[row]]] = True
    step = np.where(flipped, sign, np.float32(0))
    integers -= step
    error -= step
