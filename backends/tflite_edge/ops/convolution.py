"""Conv: CONV_2D and DEPTHWISE_CONV_2D."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission, limits_left
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.ops.weights import WeightLayout, bias_tensor, check_weights, weight_tensor
from zsq_export.backends.tflite_edge.ops.windows import ATTRIBUTES, Window, padding_code, window_of
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import int_attribute

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
    source = emission.axes(step, 0, NHWC) if weight.floats.ndim == 4 else emission.read(step)
    window = window_of(
        step.node,
        weight.floats.shape[2:],
        tuple(size.one for size in source.sizes[2:]),
        tuple(size.one for size in sizes[2:]),
    )
    groups, channels = int_attribute(step.node, "group", 1), source.sizes[1].one
    tensor, padding = padding_code(window, emission, source.tensor, step.name)
    if groups == channels and groups > 1:
        _depthwise(step, emission, tensor, window, padding)
    else:
        _standard(step, emission, tensor, window, padding)


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
