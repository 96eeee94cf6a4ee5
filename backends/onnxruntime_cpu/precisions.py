"""What really ran: ONNX Runtime's profile of one inference, and the graph that it made of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from zsq_export.backends.base import ExecutedOp

_KERNEL = "_kernel_time"

_PRECISIONS = {
    "float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64", "int8": "i8", "uint8": "u8",
    "int16": "i16", "uint16": "u16", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
"""The profile's type names by their short names."""

_WEIGHT_SLOTS = {
    "Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "QLinearConv": 3, "ConvInteger": 1, "ConvTranspose": 1,
    "Gemm": 1, "FusedGemm": 1, "QGemm": 3, "MatMul": 1, "FusedMatMul": 1, "QLinearMatMul": 3, "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1, "DynamicQuantizeMatMul": 1,
}  # fmt: skip
"""Ops with multiply-accumulates and the slot of their weight (the second operand of a product of activations)."""

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Operand:
    """One tensor of a profiled kernel."""

    precision: str
    shape: Shape


def executed_ops(model: Path, options: ort.SessionOptions, providers: Sequence[str]) -> tuple[ExecutedOp, ...]:
    """Runs one sample of zeros under the profiler.

    Args:
        model: the .onnx file.
        options: fresh session options, changed here.
        providers: execution providers.

    Returns:
        The kernels in execution order, each with the element type of its first input. Kernels of initialization that
        never run again are not among them.
    """
    with TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.optimized_model_filepath = str(optimized)
        session = ort.InferenceSession(str(model), options, providers=list(providers))
        session.run(None, _one_sample(session))
        events = json.loads(Path(session.end_profiling()).read_text())
        weights = _weight_shapes(onnx.load(optimized, load_external_data=False))
    kernels = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]
    return tuple(_executed(kernel, weights) for kernel in kernels)


def _one_sample(session: ort.InferenceSession) -> dict[str, Any]:
    types = {
        "tensor(float)": np.float32,
        "tensor(int64)": np.int64,
        "tensor(int32)": np.int32,
        "tensor(bool)": np.bool_,
    }
    return {
        port.name: np.zeros([side if isinstance(side, int) else 1 for side in port.shape], types[port.type])
        for port in session.get_inputs()
    }


def _weight_shapes(optimized: onnx.ModelProto) -> dict[str, Shape]:
    """Node name -> shape of its constant weight. The profile only knows weights as packed for the kernel."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in optimized.graph.initializer}
    found = {}
    for node in optimized.graph.node:
        slot = _WEIGHT_SLOTS.get(node.op_type)
        if slot is not None and len(node.input) > slot and node.input[slot] in shapes:
            found[node.name] = shapes[node.input[slot]]
    return found


def _executed(event: Mapping[str, Any], weights: Mapping[str, Shape]) -> ExecutedOp:
    name, kind = event["name"].removesuffix(_KERNEL), event["args"]["op_name"]
    inputs, outputs = (_operands(event["args"].get(f"{side}_type_shape", [])) for side in ("input", "output"))
    macs = _macs(kind, inputs, outputs, weights.get(name)) if inputs and outputs else 0
    return ExecutedOp(name=name, op_type=kind, precision=inputs[0].precision if inputs else "", macs=macs)


def _operands(entries: Sequence[Mapping[str, Sequence[int]]]) -> list[_Operand]:
    return [
        _Operand(precision=_PRECISIONS.get(kind, kind), shape=tuple(shape))
        for entry in entries
        for kind, shape in entry.items()
    ]


def _macs(kind: str, inputs: list[_Operand], outputs: list[_Operand], weight: Shape | None) -> int:
    """Output elements times what each of them sums over; 0 for ops without products."""
    slot = _WEIGHT_SLOTS.get(kind)
    if slot is None or len(inputs) <= slot or not inputs[0].shape:
        return 0
    shape = weight or inputs[slot].shape
    if kind == "ConvTranspose":
        return prod(inputs[0].shape) * prod(shape[1:])
    if "Conv" in kind:
        return prod(outputs[0].shape) * prod(shape[1:])
    return prod(outputs[0].shape) * inputs[0].shape[-1]
