"""The biases follow the integers that a rounding method chose."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.planning.bias_correction import bias_corrections
from zsq_export.rounding.base import Integers, Rounded, RoundingRequest


def with_corrected_biases(request: RoundingRequest, integers: Integers) -> Rounded:
    """The integers, and the plan with the mean error that is left taken out of the biases, if it corrects any."""
    plan = request.plan
    if plan.bias_corrections:
        found = bias_corrections(request.model, plan.tensors, request.statistics, integers)
        plan = replace(plan, bias_corrections=found or plan.bias_corrections)
    return Rounded(plan=plan, integers=integers)
