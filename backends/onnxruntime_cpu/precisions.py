"""What really ran, read from the graph that ONNX Runtime made of the model."""

from __future__ import annotations

from math import prod

import onnx
from onnx import TensorProto

from zsq_export.backends.base import ExecutedOp

_PRECISIONS = {
    TensorProto.FLOAT: "f32",
    TensorProto.FLOAT16: "f16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.INT8: "i8",
    TensorProto.UINT8: "u8",
    TensorProto.INT32: "i32",
    TensorProto.INT64: "i64",
    TensorProto.BOOL: "bool",
}
"""ONNX element types by their short names."""

_WEIGHT_SLOTS = {
    "Conv": 1, "FusedConv": 1, "QLinearConv": 3, "ConvInteger": 1, "NhwcFusedConv": 1, "ConvTranspose": 1,
    "Gemm": 1, "FusedGemm": 1, "QGemm": 3, "MatMul": 1, "FusedMatMul": 1, "QLinearMatMul": 3, "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1, "DynamicQuantizeMatMul": 1,
}  # fmt: skip
"""Ops with multiply-accumulates and the slot of their weight."""


def executed_ops(optimized: onnx.ModelProto) -> tuple[ExecutedOp, ...]:
    """Nodes in execution order with the element type of their first input.

    Args:
        optimized: the model that a session saved to ``optimized_model_filepath``.
    """
    types, shapes = _value_infos(optimized.graph)
    found = []
    for node in optimized.graph.node:
        precision = _PRECISIONS.get(types.get(node.input[0], 0), "") if node.input else ""
        found.append(ExecutedOp(name=node.name, op_type=node.op_type, precision=precision, macs=_macs(node, shapes)))
    return tuple(found)


def _value_infos(graph: onnx.GraphProto) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Element type and shape (symbolic sides as 1, so one sample) of every tensor."""
    types: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        types[info.name] = tensor.elem_type
        if tensor.HasField("shape"):
            shapes[info.name] = tuple(side.dim_value or 1 for side in tensor.shape.dim)
    for initializer in graph.initializer:
        types[initializer.name] = initializer.data_type
        shapes[initializer.name] = tuple(initializer.dims)
    return types, shapes


def _macs(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Output elements times what each of them sums over; 0 for ops without products or with unknown shapes."""
    slot = _WEIGHT_SLOTS.get(node.op_type)
    if slot is None or len(node.input) <= slot:
        return 0
    data, weight = shapes.get(node.input[0], ()), shapes.get(node.input[slot], ())
    output = shapes.get(node.output[0], ())
    if not data or not weight or not output:
        return 0
    if node.op_type == "ConvTranspose":
        return prod(data) * prod(weight[1:])
    if "Conv" in node.op_type:
        return prod(output) * prod(weight[1:])
    return prod(output) * data[-1]
