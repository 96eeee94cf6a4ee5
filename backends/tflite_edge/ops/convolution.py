"""Conv: CONV_2D and DEPTHWISE_CONV_2D."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor, constant
from zsq_export.backends.tflite_edge.limits import limits_left
from zsq_export.backends.tflite_edge.ops.narrow import Join, join_of, joined_source
from zsq_export.backends.tflite_edge.ops.weights import WeightLayout, bias_tensor, check_weights, weight_tensor
from zsq_export.backends.tflite_edge.ops.windows import ATTRIBUTES, Window, padding_code, window_of
from zsq_export.backends.tflite_edge.qdq import Operand
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import int_attribute
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

_OHWI = WeightLayout(order=(0, 2, 3, 1), channel_axis=0)


@handles("Conv", attributes=(*ATTRIBUTES, "group"), data=(0, 1, 2), clips=True, weighted=True)
def convolution(step: Step, emission: Emission) -> None:
    """One group per input channel: DEPTHWISE_CONV_2D. Else CONV_2D, with a narrower filter where there are groups.

    Weights become [out, height, width, in], those of a depthwise convolution [1, height, width, out].
    """
    weight = step.operand(1)
    if weight.floats is None:
        raise UnsupportedOpError(f"node {step.name!r} (Conv): its weight is computed at run time")
    check_weights(step)
    sizes = emission.sizes_of(step.node.outputs[0])
    source = emission.picture(step) if weight.floats.ndim in (3, 4) else emission.read(step)
    window = window_of(
        step.node,
        weight.floats.shape[2:],
        tuple(size.one for size in source.sizes[2:]),
        tuple(size.one for size in sizes[2:]),
    )
    step = _with_planar_weight(step, weight)
    groups, channels = int_attribute(step.node, "group", 1), source.sizes[1].one
    join = join_of(window, channels, _channels(step)) if groups == 1 and _is_byte(step, source) else None
    if join is not None:
        _joined(step, emission, source.tensor, window, join)
        return
    tensor, padding = padding_code(window, emission, source.tensor, step.name)
    if groups == channels and groups > 1:
        _depthwise(step, emission, tensor, window, padding)
    else:
        _standard(step, emission, tensor, window, padding)


def _with_planar_weight(step: Step, weight: Operand) -> Step:
    """The weight of a one-dimensional convolution as [out, in, 1, width]."""
    if weight.floats is None or weight.floats.ndim != 3:
        return step
    integers = None if weight.integers is None else np.expand_dims(weight.integers, 2)
    planar = replace(weight, floats=np.expand_dims(weight.floats, 2), integers=integers)
    return replace(step, operands=(step.operands[0], planar, *step.operands[2:]))


def _standard(step: Step, emission: Emission, tensor: Tensor, window: Window, padding: int) -> None:
    code, left = limits_left(step)
    options = schema.Conv2DOptionsT(
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        dilationHFactor=window.dilations[0],
        dilationWFactor=window.dilations[1],
        fusedActivationFunction=code,
    )
    weight = weight_tensor(step, emission, _OHWI)
    view = emission.result(step, NHWC)
    emission.add(
        step.name, "CONV_2D", [tensor, weight, bias_tensor(step, emission, _channels(step))], [view.tensor], options
    )
    emission.give(step, view, clip=left)


def _is_byte(step: Step, source: View) -> bool:
    weight = step.operand(1).quant
    return (
        step.integer
        and source.tensor.element is Element.INT8
        and weight is not None
        and weight.dtype is QuantDtype.INT8
    )


def _joined(step: Step, emission: Emission, tensor: Tensor, window: Window, join: Join) -> None:
    """The same sums over joined pixels, see :mod:`zsq_export.backends.tflite_edge.ops.narrow`."""
    joined, window = joined_source(join, window, emission, tensor, step.name)
    joined, padding = padding_code(window, emission, joined, step.name)
    code, left = limits_left(step)
    options = schema.Conv2DOptionsT(
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=code,
    )
    weight, bias = weight_tensor(step, emission, _OHWI), bias_tensor(step, emission, _channels(step))
    view = emission.result(step, NHWC)
    results = join.columns.outputs
    batch, _, _, channels = view.tensor.sizes
    wide = replace(
        view.tensor,
        name=emission.name(f"{view.tensor.name}_joined"),
        sizes=(batch, fixed(window.out[0]), fixed(window.out[1]), fixed(channels.one * results)),
    )
    inputs: list[Tensor | None] = [joined, _moved_weight(weight, join), _repeated(bias, results)]
    emission.add(step.name, "CONV_2D", inputs, [wide], options)
    emission.give(step, replace(view, tensor=emission.reshaped(wide, view.tensor.sizes, step.name)), clip=left)


def _moved_weight(weight: Tensor, join: Join) -> Tensor:
    assert weight.data is not None
    return constant(
        weight.name, join.weights(weight.data), weight.element, _repeated_scales(weight.quant, join.columns.outputs)
    )


def _repeated(bias: Tensor, results: int) -> Tensor:
    assert bias.data is not None
    return constant(bias.name, np.tile(bias.data, results), bias.element, _repeated_scales(bias.quant, results))


def _repeated_scales(quant: QParams | None, results: int) -> QParams | None:
    if quant is None or quant.axis is None:
        return quant
    return replace(quant, scale=quant.scale * results, zero_point=quant.zero_point * results)


def _channels(step: Step) -> int:
    weight = step.operand(1).floats
    assert weight is not None
    return int(weight.shape[0])


def _depthwise(step: Step, emission: Emission, tensor: Tensor, window: Window, padding: int) -> None:
    """Output channel c * multiplier + m reads input channel c, in ONNX as in TensorFlow."""
    code, left = limits_left(step)
    weight = step.operand(1)
    assert weight.floats is not None
    options = schema.DepthwiseConv2DOptionsT(
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        dilationHFactor=window.dilations[0],
        dilationWFactor=window.dilations[1],
        depthMultiplier=weight.floats.shape[0] // tensor.sizes[3].one,
        fusedActivationFunction=code,
    )
    layout = WeightLayout(order=(1, 2, 3, 0), channel_axis=3)
    view = emission.result(step, NHWC)
    inputs: list[Tensor | None] = [
        tensor,
        weight_tensor(step, emission, layout),
        bias_tensor(step, emission, _channels(step)),
    ]
    emission.add(step.name, "DEPTHWISE_CONV_2D", inputs, [view.tensor], options)
    emission.give(step, view, clip=left)
