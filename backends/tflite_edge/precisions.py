"""What really ran: the runtime's own list of ops, and which of them the delegate took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from zsq_export.backends.base import ExecutedOp
from zsq_export.device.litert_cpu import FileOps, Node
from zsq_export.device.runtimes import RanOp

Shape = tuple[int, ...]


def executed_ops(ops: FileOps) -> tuple[ExecutedOp, ...]:
    """One entry per op, in the file's order, with its multiply-accumulates."""
    return tuple(_executed(node, ran, ops.tensors) for node, ran in zip(ops.nodes, ops.ran, strict=True))


def _executed(node: Node, ran: RanOp, tensors: Mapping[int, Node]) -> ExecutedOp:
    counter = _COUNTERS.get(node["op_name"])
    shapes = [_shape(tensors, index) for index in node["inputs"]]
    macs = counter(shapes, _shape(tensors, node["outputs"][0])) if counter is not None else 0
    return ExecutedOp(name=ran.name, op_type=ran.op_type, precision=ran.precision, macs=macs)


def _shape(tensors: Mapping[int, Node], index: int) -> Shape:
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
