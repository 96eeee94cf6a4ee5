"""What pictures a model takes, told by those that it gives: super-resolution and denoising keep the coarse picture."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.calib.first_layer import SAMPLES_AT_ONCE, head
from zsq_export.calib.synthesis import PictureInput
from zsq_export.errors import ModelError
from zsq_export.execution.batching import run_in_batches
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import static_shape

FloatArray = NDArray[np.float32]

REPRODUCES = 0.3
"""Largest error, as a share of the picture's own deviation, of an output that is still the same picture."""

_BLOCK = 4
_FEWEST_BLOCKS = 8
_MARGIN = 8
"""One part in so many is left out along every border, where padding shows."""


class ReproductionProbe:
    """Compares the block means of every output that has the input's channels and its sides times a whole number.

    Under the right convention such an output is in the units of the input, as its training target was; under a wrong
    one biases, rectifiers and saturating functions, all trained for other values, distort it.
    """

    def __init__(self, model: PreparedModel, picture: PictureInput) -> None:
        self._picture = picture
        self._channel_axis = 3 if picture.channels_last else 1
        names = [str(value.name) for value in model.folded.graph.outputs if self._may_be_picture(value)]
        self._session = OrtSession(head(model.folded, names)) if names else None

    @property
    def applies(self) -> bool:
        """Whether any output has the shape of a picture."""
        return self._session is not None

    def mismatch(self, inputs: FloatArray) -> float:
        """Root of the mean squared error over the input's deviation, of the best output; infinite if none is a picture.

        Args:
            inputs: as the model takes them.
        """
        if self._session is None:
            return float("inf")
        channel_axis = self._channel_axis
        errors: dict[str, list[float]] = {}
        start = 0
        try:
            for outputs in run_in_batches(self._session, {self._picture.name: inputs}, SAMPLES_AT_ONCE):
                count = len(next(iter(outputs.values())))
                given = np.moveaxis(inputs[start : start + count], channel_axis, 1)
                start += count
                for name, output in outputs.items():
                    error = _error(given, np.moveaxis(output, channel_axis, 1)) if output.ndim == 4 else np.inf
                    errors.setdefault(name, []).append(error)
        except ModelError:
            return float("inf")
        return min((float(np.sqrt(np.mean(parts))) for parts in errors.values()), default=float("inf"))

    def _may_be_picture(self, value: ir.Value) -> bool:
        shape = static_shape(value)
        return shape is not None and len(shape) == 4 and shape[self._channel_axis] in (None, self._picture.channels)


def _error(given: FloatArray, found: FloatArray) -> float:
    """Mean squared error of coarse pictures over the variance of the given one; both N×C×H×W."""
    (height, width), sides = given.shape[2:], found.shape[2:]
    factor = sides[0] // height
    if not factor or found.shape[:2] != given.shape[:2] or tuple(sides) != (factor * height, factor * width):
        return float("inf")
    block = _BLOCK if min(height, width) >= _BLOCK * _FEWEST_BLOCKS else 1
    coarse, other = _block_means(given, block), _block_means(found, block * factor)
    return float(np.mean((other - coarse) ** 2) / max(float(coarse.var()), 1e-12))


def _block_means(pictures: FloatArray, block: int) -> NDArray[np.float64]:
    samples, channels, height, width = pictures.shape
    rows, columns = height // block, width // block
    whole = pictures[:, :, : rows * block, : columns * block].astype(np.float64)
    means = whole.reshape(samples, channels, rows, block, columns, block).mean(axis=(3, 5))
    edge = rows // _MARGIN, columns // _MARGIN
    inner: NDArray[np.float64] = means[:, :, edge[0] : rows - edge[0], edge[1] : columns - edge[1]]
    return inner
