"""What a user can choose of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.quantization.estimators import RangeEstimator


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Choices of :func:`zsq_export.planning.make_plan`.

    Attributes:
        estimator: how clip intervals follow from statistics.
        equalized: cross-layer equalization ran on the model (it is recorded in the plan, to be repeated).
        bias_correction: add the mean error that rounding the weights makes, as the statistics give it.
    """

    estimator: RangeEstimator = RangeEstimator.MIN_MAX
    equalized: bool = False
    bias_correction: bool = False
