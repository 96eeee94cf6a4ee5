"""What really ran: ONNX Runtime's profile of one inference, and the graph that it made of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from zsq_export.backends.base import ExecutedOp
from zsq_export.device.onnxruntime_cpu import Event, OrtModel, ran_op

_WEIGHT_SLOTS = {
    "Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "QLinearConv": 3, "ConvInteger": 1, "ConvTranspose": 1,
    "Gemm": 1, "FusedGemm": 1, "QGemm": 3, "MatMul": 1, "FusedMatMul": 1, "QLinearMatMul": 3, "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1, "DynamicQuantizeMatMul": 1,
}  # fmt: skip
"""Ops with multiply-accumulates and the slot of their weight (the second operand of a product of activations)."""

Shape = tuple[int, ...]


def executed_ops(model: OrtModel) -> tuple[ExecutedOp, ...]:
    """Runs one sample of zeros under the profiler.

    Returns:
        The kernels in execution order, each with the element type of its first input. Kernels of initialization that
        never run again are not among them.
    """
    with TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        kernels = model.profile(optimized)
        weights = _weight_shapes(onnx.load(optimized, load_external_data=False))
    return tuple(_executed(kernel, weights) for kernel in kernels)


def _weight_shapes(optimized: onnx.ModelProto) -> dict[str, Shape]:
    """Node name -> shape of its constant weight. The profile only knows weights as packed for the kernel."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in optimized.graph.initializer}
    found = {}
    for node in optimized.graph.node:
        slot = _WEIGHT_SLOTS.get(node.op_type)
        if slot is not None and len(node.input) > slot and node.input[slot] in shapes:
            found[node.name] = shapes[node.input[slot]]
    return found


def _executed(event: Event, weights: Mapping[str, Shape]) -> ExecutedOp:
    ran = ran_op(event)
    inputs, outputs = (_shapes(event["args"].get(f"{side}_type_shape", [])) for side in ("input", "output"))
    macs = _macs(ran.op_type, inputs, outputs, weights.get(ran.name)) if inputs and outputs else 0
    return ExecutedOp(name=ran.name, op_type=ran.op_type, precision=ran.precision, macs=macs)


def _shapes(entries: Sequence[Mapping[str, Sequence[int]]]) -> list[Shape]:
    return [tuple(shape) for entry in entries for shape in entry.values()]


def _macs(kind: str, inputs: list[Shape], outputs: list[Shape], weight: Shape | None) -> int:
    """Output elements times what each of them sums over; 0 for ops without products."""
    slot = _WEIGHT_SLOTS.get(kind)
    if slot is None or len(inputs) <= slot or not inputs[0]:
        return 0
    shape = weight or inputs[slot]
    if kind == "ConvTranspose":
        return prod(inputs[0]) * prod(shape[1:])
    if "Conv" in kind:
        return prod(outputs[0]) * prod(shape[1:])
    return prod(outputs[0]) * inputs[0][-1]
