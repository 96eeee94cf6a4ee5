"""Second stop: the plan for one target, the integers of the weights, and the QDQ model that carries both out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.base import Backend
from zsq_export.backends.options import TargetOptions
from zsq_export.calib.base import CalibrationResult
from zsq_export.errors import PlanError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.passes.correct_bias import CorrectBias
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.pipeline.conversion import IN_A_HURRY, Calibrated, Conversion
from zsq_export.planning.check import check_plan
from zsq_export.planning.leave_float import leave_as_wished
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.plan import Plan
from zsq_export.planning.plan_json import plan_from_json
from zsq_export.planning.planner import make_plan
from zsq_export.progress import Progress, silent
from zsq_export.rounding.base import Integers, Rounded, RoundingRequest
from zsq_export.rounding.registry import round_weights

_BEST_ROUNDING = "gptq"
"""Of those that take seconds: measured in docs/decisions/0003-rounding.md."""


def plan_for(calibrated: Calibrated, backend: Backend, options: PlanOptions) -> Plan:
    """The plan for one target from the statistics."""
    rounding = options.rounding or _best_rounding(calibrated.result)
    options = replace(options, equalized=calibrated.equalized, rounding=rounding)
    if options.average_bits is not None:
        from zsq_export.mixed.choose import choose_layer_bits

        options = choose_layer_bits(calibrated.prepared, calibrated.result.inputs, backend.placement(), options)
    plan = make_plan(calibrated.prepared, calibrated.result.statistics, backend.placement(), options)
    plan = leave_as_wished(plan, calibrated.prepared.folded, options)
    return replace(plan, settings=backend.options.settings())


def _best_rounding(calibration: CalibrationResult) -> str:
    """The best that there are inputs and time for."""
    hurried = IN_A_HURRY in calibration.provenance.settings
    return "nearest" if hurried or not calibration.inputs else _BEST_ROUNDING


def read_plan(conversion: Conversion, calibrated: Calibrated, backend: Backend) -> Plan | None:
    """The saved (and perhaps edited) plan, checked against model and target; None if none was given.

    Raises:
        PlanError: it is malformed, or for another model or target.
    """
    if conversion.saved_plan is None:
        return None
    plan = load_plan(conversion.saved_plan)
    if plan.equalized != calibrated.equalized:
        raise PlanError(
            f"{conversion.saved_plan} and the calibration disagree on whether the model is equalized",
            hint="plan again from this calibration, or leave --calibration out",
        )
    return replace(check_plan(plan, calibrated.prepared, backend.placement()), settings=backend.options.settings())


def round_plan(conversion: Conversion, calibrated: Calibrated, plan: Plan, progress: Progress = silent) -> Rounded:
    """Chooses the integers of the weights as the plan says.

    Raises:
        UsageError: there is no such rounding.
        PlanError: it cannot work on this model and calibration.
    """
    if plan.rounding != "nearest":
        progress(f"rounding weights by {plan.rounding}", None)
    return round_weights(
        RoundingRequest(
            model=calibrated.prepared.folded,
            plan=plan,
            correct_biases=conversion.planning.bias_correction and conversion.saved_plan is None,
            statistics=calibrated.result.statistics,
            inputs=calibrated.result.inputs,
            covariances=calibrated.covariances,
            seed=conversion.calibration.seed,
            steps=conversion.planning.rounding_steps,
            device=conversion.calibration.device.value,
            progress=progress,
        )
    )


def insert_qdq(prepared: PreparedModel, plan: Plan, rounded: Integers | None = None) -> ir.Model:
    """A new model with the plan carried out: the reference semantics of everything after it."""
    model = prepared.folded.clone()
    CorrectBias(plan.bias_corrections)(model)
    InsertQdq(plan, rounded)(model)
    return model


def options_of(plan: Plan) -> TargetOptions:
    """The options of the target that a plan was made with.

    Raises:
        PlanError: a setting that cannot be read.
    """
    return replace(TargetOptions.from_settings(plan.settings), scheme=plan.scheme)


def load_plan(path: Path) -> Plan:
    """The plan of a file.

    Raises:
        PlanError: it cannot be read, or its scales were learned together with integers that it does not hold.
    """
    try:
        plan = plan_from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot read the plan {path}: {error}", hint="make one with `zsq-export plan`") from error
    if plan.learned:
        raise PlanError(
            f"the scales in {path} were learned together with integers that it does not hold",
            hint="edit the plan that `zsq-export plan` writes; to keep these scales, take 'learned' out and set "
            "'rounding' to gptq",
        )
    return plan
