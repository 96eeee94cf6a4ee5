"""Rules about the numbers of Q and DQ: type, zero point, scales, axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from zsq_export.backends.tensorrt_gpu.rules.tracing import (
    WEIGHTED,
    Found,
    is_of_activation,
    label,
    quantizers,
    scale_of,
    weight_of,
)
from zsq_export.graph.topology import constant_value, int_attribute, is_op, weight_axis

_ALLOWED = frozenset({ir.DataType.INT8, ir.DataType.FLOAT8E4M3FN, ir.DataType.INT4, ir.DataType.FLOAT4E2M1})
_PER_TENSOR_ALLOWED = frozenset({ir.DataType.FLOAT8E4M3FN})
_FIRST_OPSET_WITH_AXIS = 13
_BIAS_SLOT = 2


def _firsts(model: ir.Model) -> Iterator[ir.Node]:
    """Of every Q and DQ pair the first, so that each mistake is told once."""
    for node in quantizers(model):
        source = node.inputs[0]
        if is_op(node, "QuantizeLinear") or source is None or not is_op(source.producer(), "QuantizeLinear"):
            yield node


def _type(node: ir.Node) -> ir.DataType | None:
    """Element type of the quantized side, from the zero point or the tensor."""
    zero_point = node.inputs[2] if len(node.inputs) > 2 else None
    side = node.outputs[0] if is_op(node, "QuantizeLinear") else node.inputs[0]
    if zero_point is not None and zero_point.dtype is not None:
        return zero_point.dtype
    return side.dtype if side is not None else None


def unsupported_type(model: ir.Model) -> Found:
    """Signed 8-bit integers only (TensorRT #2081), 8-bit floats, and 4 bits for weights."""
    for node in _firsts(model):
        found = _type(node)
        if is_op(node, "DequantizeLinear") and found == ir.DataType.INT32:
            continue
        if found is not None and found not in _ALLOWED:
            yield node, f"{label(node.inputs[0])} is quantized to {found.name.lower()}: TensorRT takes signed int8"


def zero_point(model: ir.Model) -> Found:
    """Symmetric only: every zero point is 0 (TensorRT #2081)."""
    for node in _firsts(model):
        array = constant_value(node.inputs[2]) if len(node.inputs) > 2 else None
        if array is not None and np.any(array.astype(np.float32)):
            yield node, f"{label(node.inputs[0])} has zero point {array.reshape(-1)[0]}: it has to be 0"


def activation_per_channel(model: ir.Model) -> Found:
    """Activations have one scale each."""
    for node in _firsts(model):
        scale = scale_of(node)
        if scale is not None and scale.size > 1 and is_of_activation(node):
            yield node, f"activation {label(node.inputs[0])} has {scale.size} scales: it may have one"


def weight_per_tensor(model: ir.Model) -> Found:
    """int8 weights have one scale per output channel: a single one costs accuracy, most with depthwise convolutions."""
    for node in model.graph:
        found = weight_of(node) if is_op(node, *WEIGHTED) else None
        if found is None or found[0] is None or found[1].ndim < 2:
            continue
        scale, dtype = scale_of(found[0]), _type(found[0])
        if scale is not None and scale.size == 1 and found[1].ndim == 2 + 2 * is_op(node, "Conv", "ConvTranspose") \
                and dtype not in _PER_TENSOR_ALLOWED and max(found[1].shape) > 1:  # fmt: skip
            yield node, f"its weight {label(node.inputs[1])} has one scale: give each output channel its own"


def weight_axis_wrong(model: ir.Model) -> Found:
    """Weights: Conv axis 0, ConvTranspose 1, Gemm with transB 0, MatMul the last; blocks along the other axis."""
    for node in model.graph:
        found = weight_of(node) if is_op(node, *WEIGHTED) else None
        if found is None or found[0] is None:
            continue
        scale, wanted = scale_of(found[0]), weight_axis(node)
        if wanted is None and found[1].ndim > 1 and is_op(node, "MatMul"):
            wanted = found[1].ndim - 1
        if scale is None or scale.ndim != 1 or scale.size == 1 or wanted is None:
            continue
        axis = int_attribute(found[0], "axis", 1) % found[1].ndim
        if axis != wanted:
            yield node, f"its weight {label(node.inputs[1])} has scales along axis {axis}: they belong to axis {wanted}"


def bias_quantized(model: ir.Model) -> Found:
    """A bias stays float; TensorRT adds it before rounding."""
    for node in model.graph:
        if is_op(node, "Conv", "ConvTranspose", "Gemm") and len(node.inputs) > _BIAS_SLOT:
            bias = node.inputs[_BIAS_SLOT]
            if bias is not None and is_op(bias.producer(), "DequantizeLinear"):
                yield node, f"its bias {label(bias)} is quantized: leave it float"


def opset_too_old(model: ir.Model) -> Found:
    """Scales per channel came with operator set 13."""
    opset = model.opset_imports.get("", _FIRST_OPSET_WITH_AXIS)
    if opset < _FIRST_OPSET_WITH_AXIS:
        for node in quantizers(model):
            yield (
                node,
                f"operator set {opset} knows no scales per channel: export with {_FIRST_OPSET_WITH_AXIS} or later",
            )


TYPE_RULES: dict[str, Callable[[ir.Model], Found]] = {
    "type": unsupported_type,
    "zero-point": zero_point,
    "activation-per-channel": activation_per_channel,
    "weight-per-tensor": weight_per_tensor,
    "weight-axis": weight_axis_wrong,
    "bias-quantized": bias_quantized,
    "opset": opset_too_old,
}
