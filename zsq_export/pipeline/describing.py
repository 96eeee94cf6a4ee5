"""What the manifest says of how a conversion was asked for."""

from __future__ import annotations

from zsq_export.backends.base import Backend
from zsq_export.pipeline.conversion import Conversion
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.plan import Plan
from zsq_export.rounding.registry import get_rounding


def _left_float(planning: PlanOptions) -> tuple[str, ...]:
    return *planning.leave_float, *(f"{name}.." for name in planning.leave_float_from)


def effective_options(conversion: Conversion, backend: Backend, plan: Plan) -> tuple[tuple[str, str], ...]:
    """The options that had an effect, for the manifest; what was read from a file is called so."""
    planning = conversion.planning
    calibrated, planned = conversion.saved_calibration is None, conversion.saved_plan is None
    inputs_made = planned or get_rounding(plan.rounding).needs_inputs
    return (
        *(
            conversion.calibration.described()
            if calibrated and inputs_made
            else (("calibration", "none" if calibrated else "given"),)
        ),
        *(
            (
                ("range_estimator", planning.estimator.value if planning.estimator else "by bits"),
                ("bias_correction", "yes" if planning.bias_correction else "no"),
                ("weights_bits", str(planning.weights_bits or "default")),
                ("activations_bits", str(planning.activations_bits or "default")),
                ("rounding", planning.rounding or "by inputs"),
                *((("left_float", " ".join(left)),) if (left := _left_float(planning)) else ()),
            )
            if planned
            else (("plan", "given"),)
        ),
        ("scheme", backend.placement().scheme.value),
        *backend.options.settings(),
    )
