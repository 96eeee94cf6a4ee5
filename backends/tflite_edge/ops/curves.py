"""Activation functions that TensorFlow Lite has no op for, put together from those that it has; in float."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.ops.arithmetic import like
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import View
from zsq_export.graph.topology import float_attribute

_OPTIONS: dict[str, Callable[[], Any]] = {
    "ABS": schema.AbsOptionsT, "ADD": schema.AddOptionsT, "DIV": schema.DivOptionsT, "EXP": schema.ExpOptionsT,
    "MINIMUM": schema.MaximumMinimumOptionsT, "MUL": schema.MulOptionsT, "NEG": schema.NegOptionsT,
}  # fmt: skip
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


class Curve:
    """Writes element-wise float ops on tensors that are all stored as the step's operand is."""

    def __init__(self, step: Step, emission: Emission) -> None:
        """Starts from the first operand, ``self.x``."""
        self._step, self._emission = step, emission
        self.x = emission.read(step)

    def op(self, kind: str, *operands: View | float) -> View:
        """One op; numbers become constants."""
        made = like(self._emission, self._step, self.x)
        inputs = [
            item.tensor if isinstance(item, View) else self._emission.scalar(item, None, f"{self._step.name}_number")
            for item in operands
        ]
        options = _OPTIONS[kind]() if kind in _OPTIONS else None
        self._emission.add(self._step.name, kind, list(inputs), [made.tensor], options)
        return made

    def give(self, view: View) -> None:
        """Declares the step's result."""
        self._emission.give(self._step, view)


@handles("Elu", attributes=("alpha",), integer=False)
def elu(step: Step, emission: Emission) -> None:
    """ELU, which knows alpha = 1 only."""
    curve, alpha = Curve(step, emission), float_attribute(step.node, "alpha", 1.0)
    curve.give(curve.op("ELU", curve.x) if alpha == 1.0 else _exponential(curve, alpha=alpha))


@handles("Selu", attributes=("alpha", "gamma"), integer=False)
def selu(step: Step, emission: Emission) -> None:
    """``gamma * elu(x, alpha)``."""
    curve, gamma = Curve(step, emission), float_attribute(step.node, "gamma", _SELU_GAMMA)
    found = _exponential(curve, alpha=float_attribute(step.node, "alpha", _SELU_ALPHA))
    curve.give(curve.op("MUL", found, gamma))


@handles("Celu", attributes=("alpha",), integer=False)
def celu(step: Step, emission: Emission) -> None:
    """``max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))``."""
    curve, alpha = Curve(step, emission), float_attribute(step.node, "alpha", 1.0)
    curve.give(_exponential(curve, alpha=alpha, divisor=alpha))


def _exponential(curve: Curve, *, alpha: float, divisor: float = 1.0) -> View:
    """``max(x, 0) + alpha * elu(min(x, 0) / divisor)``."""
    below = curve.op("MINIMUM", curve.x, 0.0)
    below = below if divisor == 1.0 else curve.op("MUL", below, 1 / divisor)
    return curve.op("ADD", curve.op("RELU", curve.x), curve.op("MUL", curve.op("ELU", below), alpha))


@handles("Softplus", integer=False)
def softplus(step: Step, emission: Emission) -> None:
    """``log(1 + exp(x))``."""
    curve = Curve(step, emission)
    curve.give(_softplus(curve))


@handles("Mish", integer=False)
def mish(step: Step, emission: Emission) -> None:
    """``x * tanh(softplus(x))``."""
    curve = Curve(step, emission)
    curve.give(curve.op("MUL", curve.x, curve.op("TANH", _softplus(curve))))


def _softplus(curve: Curve) -> View:
    """``max(x, 0) + log(1 + exp(-|x|))``, which does not overflow."""
    small = curve.op("EXP", curve.op("NEG", curve.op("ABS", curve.x)))
    return curve.op("ADD", curve.op("RELU", curve.x), curve.op("LOG", curve.op("ADD", small, 1.0)))


@handles("Softsign", integer=False)
def softsign(step: Step, emission: Emission) -> None:
    """``x / (1 + |x|)``."""
    curve = Curve(step, emission)
    curve.give(curve.op("DIV", curve.x, curve.op("ADD", curve.op("ABS", curve.x), 1.0)))
