"""The calibrator ``auto``: the best one that the model allows."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.calib.base import CalibrationRequest, CalibrationResult
from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator
from zsq_export.calib.prior.calibrator import PriorCalibrator
from zsq_export.errors import ModelError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.suggestions import KEEP_BATCHNORM


class AutoCalibrator:
    """BatchNorm inversion where the file holds BatchNorm statistics, the procedural prior elsewhere."""

    name = "auto"
    summary = "bn-inversion where the model has BatchNorm statistics, else prior"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Works on every model."""
        return None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Runs the calibrator chosen and says why."""
        inversion = BnInversionCalibrator()
        obstacle = inversion.obstacle(model)
        if obstacle is None:
            try:
                return inversion.calibrate(model, request)
            except ModelError as error:
                obstacle = f"no gradients: {error.message}"
        hint = () if model.batchnorms else (KEEP_BATCHNORM,)
        result = PriorCalibrator().calibrate(model, request)
        notes = (f"bn-inversion cannot be used: {obstacle}; used prior", *hint, *result.provenance.notes)
        return replace(result, provenance=replace(result.provenance, notes=notes))
