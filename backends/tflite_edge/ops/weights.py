"""Weights and biases: the plan's own integers, only moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor, constant, element_of
from zsq_export.backends.tflite_edge.registry import refuse_integers
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.quantization.bias import bias_qparams
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams


@dataclass(frozen=True, kw_only=True)
class WeightLayout:
    """How an ONNX weight is stored in TensorFlow.

    Attributes:
        order: ONNX axis of each dimension.
        channel_axis: dimension of the output channels.
    """

    order: tuple[int, ...]
    channel_axis: int


def weight_tensor(step: Step, emission: Emission, layout: WeightLayout) -> Tensor:
    """The constant weight (slot 1) in TensorFlow's layout; floats in a float step, even if the plan quantizes it."""
    weight = step.operand(1)
    assert weight.floats is not None
    name = emission.name(weight_name(step))
    if not step.integer:
        return constant(name, weight.floats.transpose(layout.order).astype(np.float32), Element.FLOAT32)
    assert weight.quant is not None and weight.integers is not None
    quant = moved_qparams(weight.quant, layout)
    kind = element_of(quant)
    assert kind is not None
    return constant(name, weight.integers.transpose(layout.order), kind, quant)


def moved_qparams(quant: QParams, layout: WeightLayout) -> QParams:
    """Scales along the dimension that the output channels have now."""
    if quant.axis is None:
        return quant
    refuse_integers(layout.order[layout.channel_axis] != quant.axis, "its weight has scales along another axis")
    return replace(quant, axis=layout.channel_axis)


def check_weights(step: Step) -> None:
    """Sends a step to float whose weight or bias no integer kernel takes."""
    weight = step.operand(1)
    if weight.floats is None or not step.integer:
        return
    assert weight.quant is not None
    refuse_integers(weight.quant.dtype not in (QuantDtype.INT8, QuantDtype.INT4), "its weight is not int8 or int4")
    refuse_integers(any(weight.quant.zero_point), "its weight has a zero point")
    _check_bias(step)


def weight_name(step: Step) -> str:
    """Name of the float weight in the ONNX model, or one made from the node's."""
    value = step.node.inputs[1]
    name = "" if value is None else str(value.name)
    return name.removesuffix("_dequantized") or f"{step.name}_weight"


def bias_tensor(step: Step, emission: Emission, channels: int) -> Tensor:
    """The bias in the type of the accumulator; zeros where there is none, as the delegate demands one."""
    weight = step.operand(1)
    assert weight.floats is not None
    source = step.operand(0).quant
    name = emission.name(f"{step.name}_bias")
    if not step.integer:
        floats = np.zeros(channels) if step.bias is None else step.bias.floats
        return constant(name, np.asarray(floats, dtype=np.float32).reshape(-1), Element.FLOAT32)
    assert source is not None and weight.quant is not None
    quant = bias_qparams(weight.quant, source.scale[0])
    integers = _integers(step, channels)
    wide = source.dtype is QuantDtype.INT16
    kind, dtype = (Element.INT64, np.int64) if wide else (Element.INT32, np.int32)
    return constant(name, integers.astype(dtype), kind, quant)


def _integers(step: Step, channels: int) -> NDArray[Any]:
    if step.bias is None:
        return np.zeros(channels, dtype=np.int32)
    assert step.bias.integers is not None
    return step.bias.integers.reshape(-1)


def _check_bias(step: Step) -> None:
    """A bias has to be the int32 of its accumulator."""
    bias, weight, source = step.bias, step.operand(1).quant, step.operand(0).quant
    if bias is None:
        return
    refuse_integers(bias.integers is None or bias.quant is None, "its bias is not quantized")
    assert bias.quant is not None and weight is not None and source is not None
    refuse_integers(bias.quant.dtype is not QuantDtype.INT32, "its bias is not int32")
    refuse_integers(
        not np.array_equal(bias.quant.scale, bias_qparams(weight, source.scale[0]).scale),
        "the scale of its bias is not that of its accumulator",
    )
