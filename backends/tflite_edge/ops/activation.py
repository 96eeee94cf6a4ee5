"""Activation functions that stand alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.limits import limits_left
from zsq_export.backends.tflite_edge.ops.arithmetic import aligned, like, unary
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import ordered
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.limits import clip_interval
from zsq_export.graph.topology import float_attribute, int_attribute
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

_FIXED = {"Sigmoid": (256, -128), "Softmax": (256, -128), "Tanh": (128, 0)}
"""Steps per unit and zero point that the int8 kernels give, whatever the file says. int16: 32768 and 0."""
_FUSED_CODES = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}


@handles("Relu")
def relu(step: Step, emission: Emission) -> None:
    """A Relu that no op before it computes."""
    limit(replace(step, clip=(0.0, np.inf)), emission)


@handles("Clip")
def clip(step: Step, emission: Emission) -> None:
    """Any constant interval; an open end is left open."""
    interval = clip_interval(step.node)
    if interval is None:
        raise UnsupportedOpError(f"node {step.name!r} (Clip): its limits are computed at run time")
    limit(replace(step, clip=interval), emission)


def limit(step: Step, emission: Emission) -> None:
    """Limits to the step's clip. In integers the scale of the result does what it can by saturating."""
    view = emission.read(step)
    code, left = limits_left(step)
    if step.integer:
        quant = step.result().quant
        assert quant is not None
        if view.tensor.quant != quant:
            view = emission.requantized(view, quant, step.name)
        emission.give(step, view, clip=step.clip if code or left else None)
        return
    if code:
        made = like(emission, step, view)
        emission.add(step.name, _FUSED_CODES[code], [view.tensor], [made.tensor])
        view = made
    emission.give(step, view, clip=left)


@handles("Sigmoid")
def sigmoid(step: Step, emission: Emission) -> None:
    """LOGISTIC."""
    _with_fixed_result(step, emission, "LOGISTIC")


@handles("Tanh")
def tanh(step: Step, emission: Emission) -> None:
    """TANH."""
    _with_fixed_result(step, emission, "TANH")


def _with_fixed_result(step: Step, emission: Emission, kind: str) -> None:
    view = emission.read(step)
    made = like(emission, step, view, fixed_qparams(step))
    emission.add(step.name, kind, [view.tensor], [made.tensor])
    emission.give(step, made)


def fixed_qparams(step: Step) -> QParams | None:
    """The scale that the integer kernel of this op always gives; None in float."""
    quant = step.result().quant
    if not step.integer or quant is None:
        return None
    steps, zero_point = _FIXED[step.node.op_type]
    if quant.dtype is QuantDtype.INT16:
        steps, zero_point = 32768, 0
    return QParams(scale=(1 / steps,), zero_point=(zero_point,), dtype=quant.dtype)


@handles("Softmax", attributes=("axis",))
def softmax(step: Step, emission: Emission) -> None:
    """SOFTMAX, over the last dimension: another axis is brought there."""
    _over_last_axis(step, emission, "SOFTMAX", schema.SoftmaxOptionsT(beta=1.0))


@handles("LogSoftmax", attributes=("axis",), integer=False)
def log_softmax(step: Step, emission: Emission) -> None:
    """LOG_SOFTMAX, in float."""
    _over_last_axis(step, emission, "LOG_SOFTMAX", schema.LogSoftmaxOptionsT())


def _over_last_axis(step: Step, emission: Emission, kind: str, options: object) -> None:
    view, order = emission.whole_order(emission.read(step), step.name)
    axis = int_attribute(step.node, "axis", -1) % len(order)
    order = (*(other for other in order if other != axis), axis)
    view = emission.arrange(view, ordered(view.axes, order), step.name)
    quant = fixed_qparams(step) if kind == "SOFTMAX" else None
    made = emission.result(step, order, quant=quant)
    emission.add(step.name, kind, [view.tensor], [made.tensor], options)
    emission.give(step, made)


@handles("HardSwish")
def hard_swish(step: Step, emission: Emission) -> None:
    """HARD_SWISH."""
    unary(step, emission, "HARD_SWISH", schema.HardSwishOptionsT())


@handles("Gelu", attributes=("approximate",))
def gelu(step: Step, emission: Emission) -> None:
    """GELU, exact or by tanh."""
    approximate = step.node.attributes.get_string("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise UnsupportedOpError(f"node {step.name!r} (Gelu): approximate={approximate!r} is not handled")
    unary(step, emission, "GELU", schema.GeluOptionsT(approximate=approximate == "tanh"))


@handles("HardSigmoid", attributes=("alpha", "beta"), integer=False)
def hard_sigmoid(step: Step, emission: Emission) -> None:
    """``clip(alpha x + beta, 0, 1)``."""
    view = emission.read(step)
    alpha, beta = float_attribute(step.node, "alpha", 0.2), float_attribute(step.node, "beta", 0.5)
    for kind, number, options in (("MUL", alpha, schema.MulOptionsT()), ("ADD", beta, schema.AddOptionsT())):
        made = like(emission, step, view)
        operand = emission.scalar(number, None, f"{step.name}_{kind.lower()}")
        emission.add(step.name, kind, [view.tensor, operand], [made.tensor], options)
        view = made
    emission.give(step, view, clip=(0.0, 1.0))


@handles("LeakyRelu", attributes=("alpha",))
def leaky_relu(step: Step, emission: Emission) -> None:
    """LEAKY_RELU."""
    alpha = float_attribute(step.node, "alpha", 0.01)
    unary(step, emission, "LEAKY_RELU", schema.LeakyReluOptionsT(alpha=alpha))


@handles("PRelu", data=(0, 1))
def prelu(step: Step, emission: Emission) -> None:
    """PRELU with a constant slope. The integer kernel reads integers and does not check that they are."""
    slope = step.operand(1)
    if slope.floats is None:
        raise UnsupportedOpError(f"node {step.name!r} (PRelu): its slope is computed at run time")
    refuse_integers(step.integer and (slope.quant is None or slope.quant.axis is not None), "its slope is not int8")
    views, order = aligned(step, emission)
    alpha = views[1].tensor
    assert alpha.data is not None
    # Without the batch axis, as the kernels want it.
    operand = Tensor(
        name=emission.name(f"{step.name}_slope"),
        sizes=alpha.sizes[1:],
        element=alpha.element,
        quant=alpha.quant,
        data=alpha.data.reshape(alpha.data.shape[1:]),
    )
    made = emission.result(step, order)
    emission.add(step.name, "PRELU", [views[0].tensor, operand], [made.tensor])
    emission.give(step, made)
