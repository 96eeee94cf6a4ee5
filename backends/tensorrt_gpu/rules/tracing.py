"""Where a tensor was quantized: questions about Q and DQ that several rules ask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_op

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ACTIVATIONS = (
    "Relu",
    "Clip",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Mish",
    "Gelu",
)
MOVED_ACROSS = (
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "DepthToSpace",
    "SpaceToDepth", "Expand", "Tile", "Cast", "Identity",
)  # fmt: skip
"""Ops that Q and DQ are moved across: their first input counts."""
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")

Found = Iterator[tuple[ir.Node, str]]


def quantized_by(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear that the tensor comes from, across ops that move it; None where it is a float."""
    while value is not None:
        producer = value.producer()
        if producer is None or is_op(producer, "DequantizeLinear"):
            return producer
        if is_op(producer, "Concat"):
            found = [quantized_by(item) for item in producer.inputs]
            return found[0] if all(found) else None
        if not is_op(producer, *MOVED_ACROSS):
            return None
        value = producer.inputs[0]
    return None


def weight_of(node: ir.Node) -> tuple[ir.Node | None, np.ndarray] | None:
    """DequantizeLinear (None if it is float) and stored numbers of a node's constant weight; None if it is computed."""
    value = node.inputs[1] if len(node.inputs) > 1 else None
    while value is not None and is_op(value.producer(), "Cast"):
        producer = value.producer()
        value = producer.inputs[0] if producer is not None else None
    array = constant_value(value)
    if array is not None:
        return None, array
    dequantize = value.producer() if value is not None else None
    if dequantize is None or not is_op(dequantize, "DequantizeLinear"):
        return None
    stored = _stored(dequantize)
    return None if stored is None else (dequantize, stored)


def _stored(dequantize: ir.Node) -> np.ndarray | None:
    """Numbers behind a DQ: a constant, or a constant that is quantized first."""
    source = dequantize.inputs[0]
    producer = source.producer() if source is not None else None
    if producer is not None and is_op(producer, "QuantizeLinear"):
        source = producer.inputs[0]
    return constant_value(source)


def is_of_activation(node: ir.Node) -> bool:
    """Whether a QuantizeLinear or DequantizeLinear is about a tensor computed at run time."""
    source = node.inputs[0]
    producer = source.producer() if source is not None else None
    if producer is not None and is_op(producer, "QuantizeLinear"):
        source = producer.inputs[0]
    return constant_value(source) is None


def quantizers(model: ir.Model) -> Iterator[ir.Node]:
    """Every Q and DQ."""
    return (node for node in model.graph if is_op(node, *QUANTIZERS))


def before_quantizer(node: ir.Node) -> ir.Node | None:
    """What computes the tensor that a DQ gives back in float: the op before its Q, across ops that move it."""
    quantize = node.inputs[0].producer() if node.inputs[0] is not None else None
    value = quantize.inputs[0] if quantize is not None and is_op(quantize, "QuantizeLinear") else None
    while value is not None and is_op(value.producer(), *MOVED_ACROSS):
        producer = value.producer()
        value = producer.inputs[0] if producer is not None else None
    return value.producer() if value is not None else None


def scale_of(node: ir.Node) -> np.ndarray | None:
    """Scales of a Q or DQ, if they are constants."""
    return constant_value(node.inputs[1])


def label(value: ir.Value | None) -> str:
    """Name of a tensor, for people."""
    return repr(value.name) if value is not None else "nothing"
