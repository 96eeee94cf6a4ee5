"""The version of each operator that its operand types need. Source: TensorFlow tools/versioning/op_version.cc."""

from __future__ import annotations

from collections.abc import Mapping

from zsq_export.backends.tflite_edge.graph import Element, Tensor

_FLOAT, _INT4, _INT8, _INT16 = Element.FLOAT32, Element.INT4, Element.INT8, Element.INT16

_BY_TYPE: Mapping[str, Mapping[Element, int]] = {
    "ADD": {_INT8: 2, _INT16: 3},
    "ARG_MAX": {_INT8: 2},
    "AVERAGE_POOL_2D": {_INT8: 2, _INT16: 3},
    "BATCH_MATMUL": {_INT8: 2, _INT16: 3},
    "CONCATENATION": {_INT8: 2, _INT16: 3},
    "CONV_2D": {_INT8: 3, _INT16: 4},
    "DEPTHWISE_CONV_2D": {_INT8: 3, _INT16: 5},
    "DEPTH_TO_SPACE": {_INT8: 2},
    "DEQUANTIZE": {_INT8: 2, _INT16: 3},
    "FULLY_CONNECTED": {_INT8: 4, _INT16: 7},
    "GATHER": {_INT8: 2, _INT16: 4},
    "GELU": {_INT8: 2},
    "LEAKY_RELU": {_INT8: 2, _INT16: 2},
    "LOGISTIC": {_INT8: 2, _INT16: 3},
    "MAXIMUM": {_INT8: 2, _INT16: 3},
    "MAX_POOL_2D": {_INT8: 2, _INT16: 3},
    "MEAN": {_INT8: 2, _INT16: 3},
    "MINIMUM": {_INT8: 2, _INT16: 3},
    "MIRROR_PAD": {_INT8: 2, _INT16: 3},
    "MUL": {_INT8: 2, _INT16: 4},
    "PAD": {_INT8: 2, _INT16: 3},
    "PADV2": {_INT8: 2, _INT16: 3},
    "QUANTIZE": {_INT8: 2, _INT16: 3},
    "REDUCE_MAX": {_INT8: 2, _INT16: 3},
    "REDUCE_MIN": {_INT8: 2, _INT16: 3},
    "RELU": {_INT8: 2, _INT16: 3},
    "RELU6": {_INT8: 2, _INT16: 3},
    "RESIZE_BILINEAR": {_INT8: 2, _INT16: 3},
    "RESIZE_NEAREST_NEIGHBOR": {_INT8: 2, _INT16: 4},
    "SLICE": {_INT8: 2, _INT16: 4},
    "SOFTMAX": {_INT8: 2, _INT16: 3},
    "SPACE_TO_DEPTH": {_INT8: 2},
    "SPLIT": {_INT8: 2, _INT16: 4},
    "STRIDED_SLICE": {_INT8: 2, _INT16: 4},
    "SUB": {_INT8: 3, _INT16: 5},
    "SUM": {_INT8: 2, _INT16: 2},
    "TANH": {_INT8: 2, _INT16: 3},
    "TRANSPOSE": {_INT8: 2, _INT16: 4},
    "TRANSPOSE_CONV": {_INT8: 2, _INT16: 4},
}
_PER_CHANNEL_FULLY_CONNECTED = 12
_FOUR_BIT_WEIGHTS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}
_BIAS_OF_TRANSPOSE_CONV = 3
_BIAS_SLOT_OF_TRANSPOSE_CONV = 3
_LARGE_TRANSPOSE, _LARGE_SLICE, _LARGE_RANK = 5, 4, 4


def version_of(kind: str, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
    """The lowest version whose kernel takes these operands."""
    found = 1
    for tensor in (*inputs, *outputs):
        if tensor is not None and tensor.data is None:
            found = max(found, _BY_TYPE.get(kind, {}).get(tensor.element, 1))
    weight = next((tensor for tensor in inputs[1:2] if tensor is not None), None)
    if weight is not None and weight.element is _INT4:
        found = max(found, _FOUR_BIT_WEIGHTS.get(kind, 1))
    if kind == "FULLY_CONNECTED" and weight is not None and weight.quant is not None and weight.quant.axis is not None:
        found = _PER_CHANNEL_FULLY_CONNECTED
    if kind == "TRANSPOSE_CONV" and len(inputs) > _BIAS_SLOT_OF_TRANSPOSE_CONV:
        found = max(found, _BIAS_OF_TRANSPOSE_CONV)
    if kind == "QUANTIZE" and inputs[0] is not None and inputs[0].element is _FLOAT:
        found = 1
    if kind == "TRANSPOSE" and len(outputs[0].sizes) > _LARGE_RANK:
        found = max(found, _LARGE_TRANSPOSE)
    if kind == "STRIDED_SLICE" and len(outputs[0].sizes) > _LARGE_RANK:
        found = max(found, _LARGE_SLICE)
    return found
