"""MaxPool, AveragePool and the global ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor, constant
from zsq_export.backends.tflite_edge.ops.reduction import reduce_to
from zsq_export.backends.tflite_edge.ops.slicing import cut
from zsq_export.backends.tflite_edge.ops.windows import (
    ATTRIBUTES,
    Window,
    has_ceil_mode,
    padded,
    padded_by_rows,
    window_of,
)
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.limits import clip_interval
from zsq_export.graph.topology import int_attribute, ints_attribute, is_op
from zsq_export.quantization.bias import bias_qparams
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

_POOLING = (*ATTRIBUTES, "ceil_mode")
_SPATIAL_START = 2


@handles("GlobalAveragePool")
def global_average(step: Step, emission: Emission) -> None:
    """MEAN over the spatial axes: the delegate has it in integers, unlike AVERAGE_POOL_2D."""
    rank = len(emission.sizes_of(step.node.outputs[0]))
    reduce_to(step, emission, "MEAN", tuple(range(_SPATIAL_START, rank)), keep=True)


@handles("GlobalMaxPool")
def global_max(step: Step, emission: Emission) -> None:
    """REDUCE_MAX over the spatial axes."""
    rank = len(emission.sizes_of(step.node.outputs[0]))
    reduce_to(step, emission, "REDUCE_MAX", tuple(range(_SPATIAL_START, rank)), keep=True)


@handles("MaxPool", attributes=(*_POOLING, "storage_order"))
def max_pool(step: Step, emission: Emission) -> None:
    """MAX_POOL_2D. Padding that TensorFlow does not have is written out, with the lowest number there is."""
    if len(step.results) > 1 and any(result is not None for result in step.results[1:]):
        raise UnsupportedOpError(f"node {step.name!r} (MaxPool): target tflite does not give the indices")
    source, window = _window(step, emission)
    if window.dilations != (1, 1):
        raise UnsupportedOpError(f"node {step.name!r} (MaxPool): target tflite does not handle dilations")
    tensor, padding = source.tensor, int(schema.Padding.VALID)
    if not window.valid:
        if window.same:
            padding = int(schema.Padding.SAME)
        else:
            tensor = _padded_with_lowest(step, emission, tensor, window)
    quant = source.tensor.quant
    view = emission.result(step, NHWC, quant=quant)
    emission.add(step.name, "MAX_POOL_2D", [tensor], [view.tensor], _options(window, padding))
    emission.give(step, view)


def _padded_with_lowest(step: Step, emission: Emission, tensor: Tensor, window: Window) -> Tensor:
    """Zeros do where nothing is negative: the delegate has PAD, but not PADV2."""
    quant = tensor.quant
    zeros = quant is not None and quant.zero_point[0] == quant.limits[0]
    fill = None if zeros or _never_negative(step) else -np.inf
    return padded_by_rows(emission, tensor, window.begin, window.end, step.name, fill)


def _never_negative(step: Step) -> bool:
    """Whether a Relu (or a Clip from zero) gave the input, seen through Q/DQ."""
    value = step.node.inputs[0]
    while value is not None and is_op(value.producer(), "QuantizeLinear", "DequantizeLinear"):
        producer = value.producer()
        value = None if producer is None else producer.inputs[0]
    producer = None if value is None else value.producer()
    interval = clip_interval(producer) if producer is not None and is_op(producer, "Relu", "Clip") else None
    return interval is not None and interval[0] >= 0


@handles("AveragePool", attributes=(*_POOLING, "count_include_pad"))
def average_pool(step: Step, emission: Emission) -> None:
    """MEAN where there is one window only; else AVERAGE_POOL_2D, which never counts padding.

    Padding that counts is written out as zeros first. In int8 a depthwise convolution with equal weights does it: it is
    delegated, and may change the scale, which AVERAGE_POOL_2D may not.
    """
    source, window = _window(step, emission)
    if window.dilations != (1, 1):
        raise UnsupportedOpError(f"node {step.name!r} (AveragePool): target tflite does not handle dilations")
    if window.is_one:
        inside = {2 + axis: (0, window.kernel[axis], 1) for axis in range(2) if window.kernel[axis] < window.size[axis]}
        reduce_to(step, emission, "MEAN", (2, 3), keep=True, source=cut(emission, step, source, inside))
        return
    counts = bool(int_attribute(step.node, "count_include_pad", 0))
    if counts and has_ceil_mode(step.node) and window.is_padded:
        raise UnsupportedOpError(
            f"node {step.name!r} (AveragePool): target tflite does not handle count_include_pad with ceil_mode"
        )
    if step.integer:
        refuse_integers(window.is_padded and not counts, "integers cannot leave the padding out of an average")
    if step.integer and source.tensor.element is Element.INT8:
        _average_by_convolution(step, emission, source, window)
        return
    tensor, padding = source.tensor, int(schema.Padding.VALID)
    correction = None
    if window.is_padded and not counts and window.same:
        padding = int(schema.Padding.SAME)
    elif not window.valid:
        tensor = padded_by_rows(emission, tensor, window.begin, window.end, step.name)
        correction = None if counts else _correction(window)
    view = emission.result(step, NHWC, quant=source.tensor.quant)
    emission.add(step.name, "AVERAGE_POOL_2D", [tensor], [view.tensor], _options(window, padding))
    emission.give(step, view if correction is None else _scaled(emission, view, correction, step.name))


def _average_by_convolution(step: Step, emission: Emission, source: View, window: Window) -> None:
    """The integer weights are 1 and their scale is the share of one element: nothing but the result is rounded."""
    channels, quant = source.sizes[1].one, source.tensor.quant
    assert quant is not None
    tensor = source.tensor if window.valid else padded(emission, source.tensor, window.begin, window.end, step.name)
    share = float(np.float32(1 / (window.kernel[0] * window.kernel[1])))
    shares = QParams(scale=(share,) * channels, zero_point=(0,) * channels, dtype=QuantDtype.INT8, axis=3)
    ones = np.ones((1, *window.kernel, channels), dtype=np.int8)
    weight = constant(emission.name(f"{step.name}_share"), ones, Element.INT8, shares)
    zeros = np.zeros(channels, dtype=np.int32)
    bias = constant(emission.name(f"{step.name}_zero"), zeros, Element.INT32, bias_qparams(shares, quant.scale[0]))
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.VALID, strideH=window.strides[0], strideW=window.strides[1], depthMultiplier=1
    )
    view = emission.result(step, NHWC)
    emission.add(step.name, "DEPTHWISE_CONV_2D", [tensor, weight, bias], [view.tensor], options)
    emission.give(step, view)


def _window(step: Step, emission: Emission) -> tuple[View, Window]:
    kernel = ints_attribute(step.node, "kernel_shape", ())
    sizes = emission.sizes_of(step.node.outputs[0])
    if len(sizes) not in (len(NHWC) - 1, len(NHWC)):
        raise UnsupportedOpError(
            f"node {step.name!r} ({step.node.op_type}) has {len(sizes) - 2} spatial axes, "
            "target tflite handles one or two"
        )
    view = emission.picture(step)
    size, out = (tuple(side.one for side in sides[2:]) for sides in (view.sizes, sizes))
    window = window_of(step.node, kernel, size, out)
    return view, _with_partial_windows(window) if has_ceil_mode(step.node) else window


def _with_partial_windows(window: Window) -> Window:
    """Padding at the end, so that the last window is a whole one."""
    end = []
    for axis in range(2):
        reach = (window.out[axis] - 1) * window.strides[axis] + (window.kernel[axis] - 1) * window.dilations[axis] + 1
        end.append(max(window.end[axis], reach - window.size[axis] - window.begin[axis]))
    return replace(window, end=(end[0], end[1]))


def _correction(window: Window) -> np.ndarray:
    """Elements of a whole window over those that are inside of the picture, [1, out height, out width, 1]."""
    factors = []
    for axis in range(2):
        start = np.arange(window.out[axis]) * window.strides[axis] - window.begin[axis]
        inside = np.minimum(start + window.kernel[axis], window.size[axis]) - np.maximum(start, 0)
        factors.append(window.kernel[axis] / inside)
    return np.asarray(factors[0][:, None] * factors[1][None, :], dtype=np.float32)[None, :, :, None]


def _scaled(emission: Emission, view: View, factors: np.ndarray, source: str) -> View:
    operand = emission.array(factors, None, f"{source}_share")
    tensor = Tensor(name=emission.name(f"{view.tensor.name}_scaled"), sizes=view.tensor.sizes, element=Element.FLOAT32)
    emission.add(source, "MUL", [view.tensor, operand], [tensor], schema.MulOptionsT())
    return replace(view, tensor=tensor)


def _options(window: Window, padding: int) -> schema.Pool2DOptionsT:
    return schema.Pool2DOptionsT(
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        filterHeight=window.kernel[0],
        filterWidth=window.kernel[1],
    )
