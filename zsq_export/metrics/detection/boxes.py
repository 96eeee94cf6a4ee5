"""Where the box of a prediction is, and what activations make of raw outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.metrics.detection.spec import Activation, Box, BoxForm, Transform, Unit

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Of n predictions.

    Attributes:
        cells: [n, 2], column and row of the cell that each belongs to.
        cell: [n, 2], its sides in pixels.
        anchor: [n, 2], sides of its anchor in pixels.
        height, width: of the input, pixels.
    """

    cells: Floats
    cell: Floats
    anchor: Floats
    height: int
    width: int

    def unit(self, unit: Unit) -> Floats:
        """Pixels per unit, [n, 2] for x and y."""
        sides = {Unit.PIXELS: np.ones(2), Unit.INPUT: np.array([self.width, self.height], np.float64)}
        return {Unit.CELL: self.cell, Unit.ANCHOR: self.anchor}[unit] if unit not in sides else sides[unit]


def corners(box: Box, fields: Floats, place: Place) -> Floats:
    """Left, top, right, bottom in pixels of the input."""
    four = fields[:, box.field : box.field + 4]
    if four.shape[1] != 4:
        raise DataError(f"coco-map: predictions of {fields.shape[1]} fields have no box at field {box.field}")
    position = place.unit(box.position_unit)
    origin = place.cells * place.cell if box.from_cell else 0.0
    if box.form is BoxForm.SIDES:
        middle = (place.cells + 0.5) * place.cell
        near, far = (applied(box.position, half) * position for half in (four[:, :2], four[:, 2:]))
        return np.concatenate([middle - near, middle + far], axis=1)
    if box.form in (BoxForm.CORNERS, BoxForm.CORNERS_YX):
        four = four if box.form is BoxForm.CORNERS else four[:, [1, 0, 3, 2]]
        halves = [applied(box.position, half) * position + origin for half in (four[:, :2], four[:, 2:])]
        return np.concatenate(halves, axis=1)
    start = applied(box.position, four[:, :2]) * position + origin
    size = applied(box.size, four[:, 2:]) * place.unit(box.size_unit)
    start = start - size / 2 if box.form is BoxForm.CENTER else start
    return np.concatenate([start, start + size], axis=1)


def applied(transform: Transform, values: Floats) -> Floats:
    """Raw outputs [n, fields] activated, scaled, shifted and raised as the spec says."""
    activated = _ACTIVATIONS[transform.activation](values) * transform.scale + transform.offset
    if transform.power == 1:
        return activated
    with np.errstate(invalid="ignore"):
        raised: Floats = activated**transform.power
    return raised


def _tanh(values: Floats) -> Floats:
    found: Floats = np.tanh(values)
    return found


def _sigmoid(values: Floats) -> Floats:
    halves: Floats = 0.5 * (1 + np.tanh(0.5 * values))
    return halves


def _softmax(values: Floats) -> Floats:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def _exp(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        raised: Floats = np.exp(values)
    return raised


_ACTIVATIONS: Mapping[Activation, Callable[[Floats], Floats]] = {
    Activation.NONE: lambda values: values,
    Activation.SIGMOID: _sigmoid,
    Activation.TANH: _tanh,
    Activation.EXP: _exp,
    Activation.SOFTMAX: _softmax,
}
