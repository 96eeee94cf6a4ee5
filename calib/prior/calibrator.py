"""The calibrator ``prior``: procedural natural images, no gradient, no BatchNorm."""

from __future__ import annotations

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.gathering import gathered
from zsq_export.calib.starting_point import starting_point_of
from zsq_export.graph.prepared import PreparedModel

SAMPLES = {Effort.FAST: 64, Effort.BALANCED: 128, Effort.THOROUGH: 512}


class PriorCalibrator:
    """Dead leaves and 1/f scenes in the model's own input convention; smooth fields for inputs that are no pictures."""

    name = "prior"
    summary = "procedural natural images (dead leaves, 1/f spectra); needs neither BatchNorm nor gradients"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Works on every model."""
        return None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Makes the images and gathers the statistics of the folded model on them."""
        samples = request.samples or SAMPLES[request.effort]
        request.progress("drawing images", None)
        starts = [
            starting_point_of(model, info, seed=request.seed + index, count=samples, given=request.preprocessing)
            for index, info in enumerate(model.inputs)
        ]
        inputs = {start.input_name: start.inputs() for start in starts}
        return gathered(model, request, starts, inputs, calibrator=self.name)
