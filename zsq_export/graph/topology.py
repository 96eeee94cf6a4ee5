"""Small questions about a graph that many parts ask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_SPATIAL_OPS = frozenset(
    {
        "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool",
        "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN", "LpPool", "MaxPool", "MaxUnpool",
        "PRelu", "Resize", "SpaceToDepth", "Upsample",
    }
)  # fmt: skip
_WEIGHT_SLOT = 1


def constant_value(value: ir.Value | None) -> NDArray[Any] | None:
    """The array behind an initializer or a Constant node; None for anything computed at run time.

    An initializer that is also a graph input may be overridden by the caller, so it is no constant.
    """
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def constant_scalar(value: ir.Value | None) -> float | None:
    """The only element of a constant, or None."""
    array = constant_value(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def node_by_name(model: ir.Model) -> dict[str, ir.Node]:
    """Node name -> node of the main graph."""
    return {node.name: node for node in model.graph if node.name}


def value_by_name(model: ir.Model) -> dict[str, ir.Value]:
    """Tensor name -> value of the main graph: inputs, initializers and node outputs."""
    values: Iterable[ir.Value] = (
        *model.graph.inputs,
        *model.graph.initializers.values(),
        *(output for node in model.graph for output in node.outputs),
    )
    return {value.name: value for value in values if value.name}


def producers(node: ir.Node) -> list[ir.Node]:
    """Nodes that compute this node's inputs, in input order, each once."""
    found = (value.producer() for value in node.inputs if value is not None)
    return list(dict.fromkeys(node for node in found if node is not None))


def consumers(value: ir.Value) -> list[ir.Node]:
    """Nodes that read the value (also inside subgraphs), each once."""
    return list(dict.fromkeys(node for node, _index in value.uses()))


def only_consumer(value: ir.Value) -> ir.Node | None:
    """The node that alone reads the value, through one slot only; None if it is a graph output, too."""
    uses = tuple(value.uses())
    return uses[0][0] if len(uses) == 1 and not value.is_graph_output() else None


def is_default_domain(node: ir.Node) -> bool:
    """Whether the node's operator belongs to the ONNX standard."""
    return node.domain in ("", "ai.onnx")


def is_op(node: ir.Node | None, *op_types: str) -> bool:
    """Whether the node is one of these standard operators."""
    return node is not None and node.op_type in op_types and is_default_domain(node)


def rank_of(value: ir.Value | None) -> int | None:
    """Number of axes, or None where unknown."""
    return None if value is None or value.shape is None else len(value.shape)


def static_shape(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """Dimensions with None for the symbolic ones; None where not even the rank is known."""
    if value is None or value.shape is None:
        return None
    return tuple(side if isinstance(side, int) else None for side in value.shape)


def is_float(value: ir.Value | None) -> bool:
    """Whether the value holds float32 numbers."""
    return value is not None and value.dtype == ir.DataType.FLOAT


def channel_axis(value: ir.Value) -> int | None:
    """Axis that the channels of an activation run along.

    Rank 4 and more: 1 (N×C×spatial). Rank 2: 1. Rank 3: 1 next to a convolution-like op (N×C×length), else 2
    (N×tokens×features). Ranks 0, 1 and unknown: None.
    """
    rank = rank_of(value)
    if rank is None or rank < 2:
        return None
    if rank != 3:
        return 1
    neighbours = [*consumers(value), value.producer()]
    return 1 if any(is_op(node, *_SPATIAL_OPS) for node in neighbours) else 2


def weight_axis(node: ir.Node) -> int | None:
    """Output-channel axis of the constant weight (input 1) of a weighted op; None for other ops.

    ConvTranspose: axis 1 holds the output channels of one group.
    """
    if is_op(node, "Conv"):
        return 0
    if is_op(node, "ConvTranspose"):
        return 1
    if is_op(node, "Gemm"):
        return 0 if int_attribute(node, "transB", 0) else 1
    if is_op(node, "MatMul"):
        rank = rank_of(node.inputs[_WEIGHT_SLOT])
        return None if rank is None or rank < 2 else rank - 1
    return None


def int_attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or its default."""
    return node.attributes.get_int(name, default)


def float_attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or its default."""
    return node.attributes.get_float(name, default)


def ints_attribute(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An integer-list attribute, or its default."""
    return tuple(node.attributes.get_ints(name, default))


def float_weight(node: ir.Node) -> NDArray[np.float32] | None:
    """The constant float32 weight (input 1) of a node, or None."""
    value = node.inputs[_WEIGHT_SLOT] if len(node.inputs) > _WEIGHT_SLOT else None
    array = constant_value(value)
    return array if array is not None and array.dtype == np.float32 else None
