"""The calibrator ``auto``: the best one that the model allows."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.calib.base import CalibrationRequest, CalibrationResult
from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator
from zsq_export.calib.prior.calibrator import PriorCalibrator
from zsq_export.errors import CalibrationError, ModelError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.suggestions import KEEP_BATCHNORM


class AutoCalibrator:
    """BatchNorm inversion where the file holds BatchNorm statistics, the procedural prior elsewhere."""

    name = "auto"
    summary = "bn-inversion where the model has BatchNorm statistics, else prior"
    improvable = True

    def obstacle(self, model: PreparedModel) -> str | None:
        """Works on every model."""
        return None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Runs the calibrator chosen and says why.

        Raises:
            CalibrationError: improvements were asked for, and bn-inversion cannot be used.
        """
        inversion = BnInversionCalibrator()
        obstacle = inversion.obstacle(model)
        if obstacle is None:
            try:
                return inversion.calibrate(model, request)
            except ModelError as error:
                obstacle = f"no gradients: {error.message}"
        if request.improvements:
            raise CalibrationError(
                f"there is nothing to improve: bn-inversion cannot be used: {obstacle}",
                hint=f"leave --improve {request.improvements[0]} out",
            )
        hint = () if model.batchnorms else (KEEP_BATCHNORM,)
        result = PriorCalibrator().calibrate(model, request)
        notes = (f"bn-inversion cannot be used: {obstacle}; used prior", *hint, *result.provenance.notes)
        return replace(result, provenance=replace(result.provenance, notes=notes))
