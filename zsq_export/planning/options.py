"""What a user can choose of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zsq_export.quantization.dtypes import FULL_WIDTH, QuantSpec
from zsq_export.quantization.estimators import RangeEstimator

FLOAT_BITS = 32
"""Activation bits that mean: leave them in float."""


class Budget(StrEnum):
    """What an average of bits is taken over: weights (size), or multiply-accumulates (work)."""

    SIZE = "size"
    MACS = "macs"


@dataclass(frozen=True, kw_only=True)
class LayerBits:
    """Widths of one weighted node, against those of the rest of the model.

    Attributes:
        node: its name in the folded model.
        weights: bits of its weight.
        activations: bits of what it reads; None: as everywhere.
    """

    node: str
    weights: int
    activations: int | None = None


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Choices of :func:`zsq_export.planning.make_plan`.

    Attributes:
        estimator: how clip intervals follow from statistics; None: the extremes at 8 bits and more, the least squared
            error below.
        equalized: cross-layer equalization ran on the model (it is recorded in the plan, to be repeated).
        bias_correction: take back the mean error that rounding the weights makes. Measured with statistics of real
            images: it raises the output SQNR of MobileNetV1 from 16.6 to 24.7 dB, of EfficientNet-Lite0 from 20 to 24.
        weights_bits: 2 to 8; None: the target's own type.
        activations_bits: 2 to 8, or ``FLOAT_BITS``; None: the target's own type.
        edge_bits: the first and the last layer, and the outputs, get at least so many bits.
        layer_bits: exceptions for single layers (mixed precision).
        average_bits: choose the bits of each weight so that they are so many on average; None: all alike.
        budget: what that average is taken over.
        weight_estimator: how the scale of a weight follows from its values; None: the extremes at 8 bits, the least
            squared error below.
        rounding: registered name of how weights are rounded; None: the best that takes seconds (``gptq`` where the
            calibration holds inputs and was not made with effort fast, else ``nearest``).
        rounding_steps: of gradient descent per block, for a rounding that learns; None: its default.
        leave_float: names of nodes that are not quantized; ``*`` stands for any letters.
        leave_float_from: the same, together with every node that their results reach.
    """

    estimator: RangeEstimator | None = None
    equalized: bool = False
    bias_correction: bool = True
    weights_bits: int | None = None
    activations_bits: int | None = None
    edge_bits: int = FULL_WIDTH
    layer_bits: tuple[LayerBits, ...] = ()
    average_bits: float | None = None
    budget: Budget = Budget.SIZE
    weight_estimator: RangeEstimator | None = None
    rounding: str | None = None
    rounding_steps: int | None = None
    leave_float: tuple[str, ...] = ()
    leave_float_from: tuple[str, ...] = ()

    def activation_estimator(self, spec: QuantSpec) -> RangeEstimator:
        """The estimator of an activation of this type: with few integers, extremes would waste most of them."""
        return self.estimator or _BY_WIDTH[spec.width < FULL_WIDTH]

    def estimator_of_weight(self, spec: QuantSpec) -> RangeEstimator:
        """The estimator of a weight of this type. SQuant is published on extremes, and measured better on them."""
        return self.weight_estimator or _BY_WIDTH[spec.width < FULL_WIDTH and self.rounding != "squant"]


_BY_WIDTH = {False: RangeEstimator.MIN_MAX, True: RangeEstimator.MSE}
