"""The biases follow the integers that a rounding method chose."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.planning.bias_correction import bias_corrections
from zsq_export.rounding.base import Integers, Rounded, RoundingRequest


def with_corrected_biases(request: RoundingRequest, integers: Integers) -> Rounded:
    """The integers, and the plan with the mean error that is left taken out of the biases, if that is wanted.

    Corrections that a plan holds are those of the nearest integers: they stay where there are no others, and where no
    statistics are left to compute them anew.
    """
    plan, planned = request.plan, request.plan.bias_corrections
    if integers if planned else request.correct_biases:
        found = bias_corrections(request.model, plan.tensors, request.statistics, integers)
        plan = replace(plan, bias_corrections=found or planned)
    return Rounded(plan=plan, integers=integers)
