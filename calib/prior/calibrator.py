"""The calibrator ``prior``: procedural natural images, no gradient, no BatchNorm."""

from __future__ import annotations

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort, Provenance
from zsq_export.calib.starting_point import starting_point_of
from zsq_export.calib.tails import widen_tails
from zsq_export.execution.collect import collect_statistics
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
        margin = max(start.tail_margin for start in starts)
        request.progress("gathering statistics", None)
        return CalibrationResult(
            statistics=widen_tails(
                model,
                collect_statistics(model.folded, inputs),
                {start.input_name: start.value_range for start in starts},
                margin,
            ),
            inputs=inputs,
            preprocessing=next((start.preprocessing for start in starts if start.preprocessing), None),
            provenance=Provenance(
                calibrator=self.name,
                seed=request.seed,
                samples=samples,
                settings=(("tail margin", f"{margin:g}"),),
                notes=tuple(note for start in starts for note in start.notes),
            ),
        )
