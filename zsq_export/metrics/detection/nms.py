"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def suppress(boxes: NDArray[np.float64], classes: NDArray[np.int64], iou: float) -> NDArray[np.int64]:
    """Of boxes of one class that overlap by more than ``iou``, keeps the first.

    Args:
        boxes: float64 [n, 4], left, top, right, bottom, most certain first.
        classes: int64 [n].
        iou: intersection over union above which the later box is dropped.

    Returns:
        Indices of the boxes that stay, in order.
    """
    alive = np.ones(len(boxes), np.bool_)
    for index in range(len(boxes)):
        if alive[index]:
            later = np.flatnonzero(alive[index + 1 :] & (classes[index + 1 :] == classes[index])) + index + 1
            alive[later[overlap(boxes[index], boxes[later]) > iou]] = False
    return np.flatnonzero(alive)


def overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box with others; 0 where both are empty."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    found: NDArray[np.float64] = np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)
    return found
