"""What really ran, read from OpenVINO's runtime graph."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from zsq_export.backends.base import ExecutedOp
from zsq_export.device.openvino_cpu import info_text, ran_ops

if TYPE_CHECKING:
    import openvino

_FUSED_KERNEL = "Subgraph"


def executed_ops(runtime: openvino.Model, source: openvino.Model) -> tuple[ExecutedOp, ...]:
    """Ops of a runtime model in execution order, constants and graph ends left out.

    Args:
        runtime: ``CompiledModel.get_runtime_model()`` of a model with static shapes and one sample per batch.
        source: that model. It tells what products a fused kernel holds (attention becomes one "Subgraph").

    Returns:
        One entry per executed op; ``precision`` is the plugin's ``runtimePrecision`` (that of the inputs a kernel
        computes with), multiply-accumulates follow from the shapes.
    """
    products = _matrix_products(source)
    found = []
    for op, ran in ran_ops(runtime):
        macs = _macs(ran.op_type, op)
        if ran.op_type == _FUSED_KERNEL:
            macs = sum(products.get(name, 0) for name in info_text(op.get_rt_info(), "originalLayersNames").split(","))
        found.append(ExecutedOp(name=ran.name, op_type=ran.op_type, precision=ran.precision, macs=macs))
    return tuple(found)


def _matrix_products(source: openvino.Model) -> dict[str, int]:
    """Name -> multiply-accumulates of every MatMul of the model."""
    found = {}
    for op in source.get_ordered_ops():
        if op.get_type_name() == "MatMul":
            shapes = [_shape(port) for port in op.inputs()]
            inner = -2 if op.get_attributes()["transpose_a"] else -1
            found[op.get_friendly_name()] = prod(_shape(op.outputs()[0])) * shapes[0][inner] if shapes[0] else 0
    return found


def _macs(kind: str, op: openvino.Node) -> int:
    counter = _COUNTERS.get(kind)
    shapes = [_shape(port) for port in op.inputs()]
    return counter(shapes, _shape(op.outputs()[0])) if counter is not None and len(shapes) > 1 else 0


def _shape(port: openvino.Input) -> tuple[int, ...]:
    shape = port.get_partial_shape()
    return tuple(shape.to_shape()) if shape.is_static else ()


def _convolution_macs(inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """Weights are [(groups,) out, in, *kernel]: every output element sums over ``in`` and the kernel."""
    spatial = len(inputs[0]) - 2
    kernel_and_inputs = inputs[1][len(inputs[1]) - spatial - 1 :]
    return prod(output) * prod(kernel_and_inputs)


def _deconvolution_macs(inputs: list[tuple[int, ...]], _output: tuple[int, ...]) -> int:
    """Weights are [(groups,) in, out, *kernel]: every input element is spread over ``out`` and the kernel."""
    spatial = len(inputs[0]) - 2
    return prod(inputs[0]) * prod(inputs[1][len(inputs[1]) - spatial - 1 :])


def _matrix_macs(inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """Every output element sums over the inner dimension, the one that data and output do not share."""
    data, outer = prod(inputs[0]), prod(output)
    weight = prod(inputs[1])
    batch = prod(output[:-2]) if len(inputs[1]) > 2 else 1
    return round((data * weight * outer / batch) ** 0.5) if batch else 0


_COUNTERS = {
    "Convolution": _convolution_macs,
    "Deconvolution": _deconvolution_macs,
    "FullyConnected": _matrix_macs,
    "MatMul": _matrix_macs,
}
