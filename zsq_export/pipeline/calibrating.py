"""First stop: statistics of the model, new or saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationResult, Effort
from zsq_export.calib.registry import get_calibrator
from zsq_export.calib.saved import load_calibration
from zsq_export.errors import UsageError
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import BatchNormStatistics, PreparedModel
from zsq_export.options import CalibrationOptions
from zsq_export.passes.absorb_bias import AbsorbBias
from zsq_export.passes.equalize import Equalize
from zsq_export.pipeline.conversion import IN_A_HURRY, Calibrated, Conversion
from zsq_export.pipeline.planning import load_plan
from zsq_export.planning.plan import Plan
from zsq_export.progress import Progress, silent
from zsq_export.rounding.registry import get_rounding
from zsq_export.writing import provenance_of_plan

_EQUALIZED = ("equalized", "yes")


def calibrate(model: Path, options: CalibrationOptions, progress: Progress = silent) -> Calibrated:
    """Statistics of the model from the calibrator that was asked for.

    Raises:
        UsageError: there is no such calibrator.
        ModelError: the model cannot be read or quantized.
        CalibrationError: the calibrator cannot work on it.
    """
    calibrator = get_calibrator(options.calibrator)
    if options.improvements and not getattr(calibrator, "improvable", False):
        raise UsageError(
            f"--improve {options.improvements[0]} has no effect on calibrator {calibrator.name}",
            hint="improvements are of --calibrator bn-inversion (or auto, where that is what it takes)",
        )
    progress(f"reading {model}", None)
    prepared = prepare_model(model)
    prepared = equalize(prepared) if options.equalize else prepared
    result = calibrator.calibrate(prepared, replace(options.request(), progress=progress))
    marks = (*((_EQUALIZED,) if options.equalize else ()), *((IN_A_HURRY,) if options.effort is Effort.FAST else ()))
    settings = (*result.provenance.settings, *marks)
    result = replace(result, provenance=replace(result.provenance, settings=settings))
    return Calibrated(prepared=prepared, result=result, equalized=options.equalize)


def resume(model: Path, saved_calibration: Path) -> Calibrated:
    """The same from a saved calibration.

    Raises:
        ModelError: the model cannot be read or quantized.
        CalibrationError: the file is damaged, or of another model.
    """
    prepared = prepare_model(model)
    result = load_calibration(saved_calibration, prepared)
    equalized = _EQUALIZED in result.provenance.settings
    return Calibrated(prepared=equalize(prepared) if equalized else prepared, result=result, equalized=equalized)


def equalize(prepared: PreparedModel) -> PreparedModel:
    """The same model with channel ranges evened out between neighbouring layers and high biases absorbed (folded form).

    The BatchNorms' gamma and beta follow: they say what leaves the layers that they were folded into.
    """
    folded, equalizer = prepared.folded.clone(), Equalize()
    equalizer(folded)
    outputs = {node.name: str(node.outputs[0].name) for node in prepared.with_batchnorm.graph}
    scaled = tuple(_divided(norm, equalizer.factors.get(outputs[norm.node])) for norm in prepared.batchnorms)
    absorber = AbsorbBias({outputs[norm.node]: (norm.beta, norm.gamma) for norm in scaled})
    absorber(folded)
    lowered = tuple(
        replace(norm, beta=norm.beta - absorber.absorbed.get(outputs[norm.node], np.float32(0))) for norm in scaled
    )
    return replace(prepared, folded=folded, batchnorms=lowered)


def _divided(norm: BatchNormStatistics, factor: NDArray[np.float64] | None) -> BatchNormStatistics:
    if factor is None:
        return norm
    return replace(norm, gamma=(norm.gamma / factor).astype(np.float32), beta=(norm.beta / factor).astype(np.float32))


def calibrate_as_told(conversion: Conversion, progress: Progress) -> Calibrated:
    """The saved calibration, what a saved plan needs of one, or a new one."""
    if conversion.saved_calibration is not None:
        return resume(conversion.model, conversion.saved_calibration)
    if conversion.saved_plan is not None:
        return _for_plan(conversion, load_plan(conversion.saved_plan), progress)
    return calibrate(conversion.model, conversion.calibration, progress)


def _for_plan(conversion: Conversion, plan: Plan, progress: Progress) -> Calibrated:
    """A plan holds all ranges; inputs are made anew only where it says to round the weights by them."""
    if get_rounding(plan.rounding).needs_inputs:
        options = replace(conversion.calibration, equalize=plan.equalized)
        return calibrate(conversion.model, options, progress)
    prepared = prepare_model(conversion.model)
    preprocessing = conversion.calibration.preprocessing
    result = CalibrationResult(statistics={}, inputs={}, preprocessing=preprocessing, provenance=provenance_of_plan())
    prepared = equalize(prepared) if plan.equalized else prepared
    return Calibrated(prepared=prepared, result=result, equalized=plan.equalized)
