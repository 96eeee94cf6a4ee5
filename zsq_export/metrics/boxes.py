"""What is known of the objects on one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.placing import Geometry


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureBoxes:
    """One picture of a detection data set, in the picture's own pixels.

    Attributes:
        picture: its number in the data set.
        width, height: in pixels.
        geometry: where it lies in the model's input.
        boxes: float64 [objects, 4], x, y, width, height.
        categories: int64 [objects], numbers of the data set.
        areas: float64 [objects]; of the segment where one is known.
        crowd: bool [objects], boxes around many objects at once.
        known: every category of the data set, in the order of the model's classes.
    """

    picture: int
    width: int
    height: int
    geometry: Geometry
    boxes: NDArray[np.float64]
    categories: NDArray[np.int64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    known: tuple[int, ...]
