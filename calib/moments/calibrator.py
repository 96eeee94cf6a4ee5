"""The calibrator ``moments``: ranges and means from BatchNorm's own parameters (DFQ)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Provenance
from zsq_export.calib.convention import Detection, assume_convention, detect_convention
from zsq_export.calib.conventions import value_range
from zsq_export.calib.moments.distribution import DEVIATIONS, Array, Distribution, bounded, normal
from zsq_export.calib.moments.rules import behind
from zsq_export.calib.moments.stem import PHOTO_DEVIATION, PHOTO_MEAN, derive_convention
from zsq_export.calib.starting_point import StartingPoint, starting_point_of
from zsq_export.calib.synthesis import PictureInput, picture_input
from zsq_export.errors import CalibrationError
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.graph.topology import channel_axis, constant_value, is_float, value_by_name
from zsq_export.preprocessing import Preprocessing
from zsq_export.quantization.statistics import TensorStatistics

_PROBED = 8
"""Smooth fields that stand for an input that is no picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Input:
    """What is known of one graph input."""

    distribution: Distribution
    preprocessing: Preprocessing | None
    notes: tuple[str, ...]


class MomentsCalibrator:
    """Derives every tensor's distribution from beta and gamma of the BatchNorms; runs no input through the network."""

    name = "moments"
    summary = "ranges derived from BatchNorm's beta and gamma (DFQ): no inputs, milliseconds (needs BatchNorm)"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: no BatchNorm parameters."""
        return (
            None if model.batchnorms else "the model holds no BatchNorm parameters (folded at export, or never there)"
        )

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Propagates the moments through the folded model.

        Raises:
            CalibrationError: the model has no BatchNorm, or an operator has no rule.
        """
        obstacle = self.obstacle(model)
        if obstacle is not None:
            raise CalibrationError(obstacle, hint="use --calibrator prior, which needs no BatchNorm")
        known = {info.name: _input_moments(model, info, request) for info in model.inputs}
        found = propagate(model, {name: item.distribution for name, item in known.items()})
        return CalibrationResult(
            statistics=_statistics(model.folded, found),
            inputs={},
            preprocessing=next((item.preprocessing for item in known.values() if item.preprocessing), None),
            provenance=Provenance(
                calibrator=self.name,
                seed=request.seed,
                samples=0,
                settings=(("deviations", f"{DEVIATIONS:g}"),),
                notes=tuple(note for item in known.values() for note in item.notes),
            ),
        )


def propagate(model: PreparedModel, inputs: dict[str, Distribution]) -> dict[str, Distribution]:
    """Tensor of the folded model -> its distribution.

    Behind a BatchNorm the moments are beta and gamma**2, whatever came before; elsewhere they follow from the operator.

    Raises:
        CalibrationError: an operator has no rule.
    """
    known = _behind_batchnorms(model)
    found = dict(inputs)
    for node in model.folded.graph:
        output = node.outputs[0]
        name = output.name or ""
        if not is_float(output) or constant_value(output) is not None:
            continue
        operands = [None if value is None else found.get(value.name or "") for value in node.inputs]
        found[name] = known[name] if name in known else behind(node, operands)
        found.update({other.name or "": found[name].pooled() for other in node.outputs[1:] if is_float(other)})
    return found


def _behind_batchnorms(model: PreparedModel) -> dict[str, Distribution]:
    """Output of each BatchNormalization -> its distribution."""
    outputs = {node.name: node.outputs[0].name or "" for node in model.with_batchnorm.graph}
    return {
        outputs[norm.node]: normal(norm.beta.astype(np.float64), norm.gamma.astype(np.float64) ** 2)
        for norm in model.batchnorms
    }


def _input_moments(model: PreparedModel, info: InputInfo, request: CalibrationRequest) -> _Input:
    picture = picture_input(info)
    if picture is None or picture.channels_last:
        return _field_moments(starting_point_of(model, info, seed=request.seed, count=_PROBED, given=None))
    preprocessing, bounds = request.preprocessing, (0.0, 0.0)
    notes: tuple[str, ...] = ()
    if preprocessing is not None:
        bounds = value_range(preprocessing)
    else:
        detection = _detection(model, picture)
        if detection.unusual:
            return _field_moments(starting_point_of(model, info, seed=request.seed, count=_PROBED, given=None))
        preprocessing, notes, bounds = detection.preprocessing, (detection.note,), detection.value_range
    shift, scale = (np.resize(np.asarray(part, np.float64), picture.channels) for part in
                    (preprocessing.mean, preprocessing.std))  # fmt: skip
    found = normal((PHOTO_MEAN - shift) / scale, (PHOTO_DEVIATION / scale) ** 2)
    low, high = (np.full(picture.channels, bound) for bound in bounds)
    clipped = bounded(found.mapped(lambda x: np.clip(x, bounds[0], bounds[1])), low, high)
    # The ends of the range occur in photographs, however unlikely a normal variable makes them.
    return _Input(distribution=_reaching(clipped, low, high), preprocessing=preprocessing, notes=notes)


def _detection(model: PreparedModel, picture: PictureInput) -> Detection:
    """From the first layer's weights; by pictures only where those do not tell."""
    if len(model.inputs) != 1:
        return assume_convention(model, picture)
    return derive_convention(model, picture) or detect_convention(model, picture)


def _reaching(found: Distribution, low: Array, high: Array) -> Distribution:
    values = found.values.copy()
    values[:, 0], values[:, -1] = low, high
    return Distribution(values=values, source=found.source, lowest=low, highest=high)


def _field_moments(start: StartingPoint) -> _Input:
    sample = start.inputs().astype(np.float64)
    axes = tuple(index for index in range(sample.ndim) if index != 1)
    found = normal(np.atleast_1d(sample.mean(axis=axes)), np.atleast_1d(sample.var(axis=axes)))
    return _Input(distribution=found, preprocessing=start.preprocessing, notes=start.notes)


def _statistics(model: ir.Model, found: dict[str, Distribution]) -> dict[str, TensorStatistics]:
    values = value_by_name(model)
    return {name: item.statistics(channel_axis(values[name])) for name, item in found.items() if name in values}
