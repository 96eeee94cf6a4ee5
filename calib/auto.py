"""The calibrator ``auto``: the best one that the model allows."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.calib.base import CalibrationRequest, CalibrationResult
from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator
from zsq_export.calib.evidence import EvidenceCalibrator, normalisations
from zsq_export.calib.patch_similarity import attention_outputs
from zsq_export.calib.prior.calibrator import PriorCalibrator
from zsq_export.errors import CalibrationError, ModelError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.suggestions import KEEP_BATCHNORM


class AutoCalibrator:
    """BatchNorm inversion where the file holds BatchNorm statistics, class evidence where a convolutional network has
    LayerNorm instead, the procedural prior elsewhere."""

    name = "auto"
    summary = "bn-inversion with BatchNorm, evidence for LayerNorm networks without attention, else prior"
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
        result = _without_batchnorm(model, request)
        used = result.provenance.calibrator
        hint = () if model.batchnorms or used != PriorCalibrator.name else (KEEP_BATCHNORM,)
        notes = (f"bn-inversion cannot be used: {obstacle}; used {used}", *hint, *result.provenance.notes)
        return replace(result, provenance=replace(result.provenance, notes=notes))


def _without_batchnorm(model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
    """Attention keeps to the prior, which was measured as good there as anything (docs/methods.md)."""
    evidence = EvidenceCalibrator()
    layer_norm = not model.batchnorms and normalisations(model) and not attention_outputs(model.with_batchnorm)
    if layer_norm and evidence.obstacle(model) is None:
        try:
            return evidence.calibrate(model, request)
        except ModelError:  # an operator without gradient
            pass
    return PriorCalibrator().calibrate(model, request)
