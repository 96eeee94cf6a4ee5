"""What really ran: the runtime's own list of ops, and which of them the delegate took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.base import ExecutedOp
from zsq_export.device.litert_cpu import delegated

_DELEGATE = "DELEGATE"
_PRECISIONS = {
    "float32": "f32", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
Shape = tuple[int, ...]


def executed_ops(interpreter: Any, content: bytes) -> tuple[ExecutedOp, ...]:
    """Ops in the file's order.

    Args:
        interpreter: of the file, allocated.
        content: the file.

    Returns:
        One entry per op; ``op_type`` ends in "@xnnpack" where the delegate took it, in "@builtin" where it did not.
        The precision is that of its first operand, which is what its kernel computes with.
    """
    nodes = interpreter._get_ops_details()
    count = schema.Model.GetRootAs(content).Subgraphs(0).OperatorsLength()
    own, delegates = nodes[:count], [node for node in nodes[count:] if node["op_name"] == _DELEGATE]
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    taken = delegated(own, delegates)
    return tuple(_executed(node, tensors, node["index"] in taken) for node in own)


def _executed(node: Mapping[str, Any], tensors: Mapping[int, Any], delegated: bool) -> ExecutedOp:
    shapes = [_shape(tensors, index) for index in node["inputs"]]
    output = _shape(tensors, node["outputs"][0])
    counter = _COUNTERS.get(node["op_name"])
    dtype = np.dtype(tensors[int(node["inputs"][0])]["dtype"]).name if len(node["inputs"]) else ""
    return ExecutedOp(
        name=str(tensors[int(node["outputs"][0])]["name"]),
        op_type=f"{node['op_name']}@{'xnnpack' if delegated else 'builtin'}",
        precision=_PRECISIONS.get(dtype, dtype),
        macs=counter(shapes, output) if counter is not None else 0,
    )


def _shape(tensors: Mapping[int, Any], index: int) -> Shape:
    return tuple(int(side) for side in tensors[int(index)]["shape"]) if int(index) in tensors else ()


def _convolution(inputs: Sequence[Shape], output: Shape) -> int:
    """Filters are [out, height, width, in]."""
    return prod(output) * prod(inputs[1][1:])


def _depthwise(inputs: Sequence[Shape], output: Shape) -> int:
    """Filters are [1, height, width, out]."""
    return prod(output) * prod(inputs[1][1:3])


def _matrix(inputs: Sequence[Shape], output: Shape) -> int:
    return prod(output) * inputs[1][-1]


def _batch_matrix(inputs: Sequence[Shape], output: Shape) -> int:
    """The inner side is what both operands and the result share: (m k) (k n) / (m n) = k²."""
    inner = prod(inputs[0][-2:]) // output[-2]
    return prod(output) * inner


_COUNTERS: Mapping[str, Callable[[Sequence[Shape], Shape], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _matrix,
    "BATCH_MATMUL": _batch_matrix,
}
