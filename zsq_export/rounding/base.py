"""The contract of a rounding method: a plan in, the integers of its weights (and perhaps better scales) out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.planning.plan import Plan
from zsq_export.progress import Progress, silent
from zsq_export.quantization.statistics import TensorStatistics

if TYPE_CHECKING:
    from zsq_export.execution.covariance import Covariances

Integers = Mapping[str, NDArray[np.integer[Any]]]
"""Weight tensor -> integers of its shape, in the type of ``quantization.linear.container``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundingRequest:
    """What a rounding method works on.

    Attributes:
        model: the folded float model; it is not changed.
        plan: the target's placement with its ranges.
        correct_biases: the mean error of the weights is to be taken out of the biases, though the plan does not hold
            the corrections yet.
        statistics: of the folded model's tensors, as they were calibrated; may be empty.
        inputs: synthetic inputs, graph input -> float32 [samples, ...]; may be empty.
        covariances: of the model on the inputs, if other roundings share them; None: gathered anew.
        seed: of every random choice.
        steps: of gradient descent per block; None: the method's default.
        device: "cpu" or "cuda".
        progress: called with (what is being done, fraction done or None).
    """

    model: ir.Model
    plan: Plan
    correct_biases: bool = False
    statistics: Mapping[str, TensorStatistics] = field(default_factory=dict)
    inputs: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    covariances: Covariances | None = None
    seed: int = 0
    steps: int | None = None
    device: str = "cpu"
    progress: Progress = silent


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """The result.

    Attributes:
        plan: as given, with bias corrections for the integers if they are wanted, perhaps with other scales.
        integers: of the weights that are not simply rounded to the nearest integer.
    """

    plan: Plan
    integers: Integers = field(default_factory=dict)


class Rounding(Protocol):
    """One way to round weights."""

    name: str
    summary: str
    needs_inputs: bool
    """Whether it works on the inputs of a calibration, so that a plan alone does not say the integers."""

    def obstacle(self, request: RoundingRequest) -> str | None:
        """Why it cannot work here, as one sentence; None if it can."""
        ...

    def round(self, request: RoundingRequest) -> Rounded:
        """Chooses the integers.

        Raises:
            PlanError: it cannot work here; the message says why.
        """
        ...
