"""How much arithmetic each weighted op does."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx_ir as ir

from zsq_export.graph.shapes import infer_shapes
from zsq_export.graph.topology import int_attribute, is_default_domain, static_shape

_ASSUMED_SIDE = 224
_SPATIAL_RANK = 3


def node_macs(model: ir.Model) -> dict[str, int]:
    """Node name -> multiply-accumulates for one sample, for Conv, ConvTranspose, Gemm and MatMul.

    The batch is set to 1; a model with a fixed batch is divided by it. Other open axes of an input count as 224 if
    it has at least three (as calibration takes them, channels first or last), as 1 otherwise.
    """
    sized, batch = _with_static_inputs(model)
    rules = ((node, _RULES.get(node.op_type)) for node in sized.graph if is_default_domain(node))
    return {str(node.name): rule(node) // batch for node, rule in rules if rule is not None}


def _with_static_inputs(model: ir.Model) -> tuple[ir.Model, int]:
    sized = model.clone()
    for node in sized.graph:
        for value in node.outputs:
            value.shape = None
    batches: list[int] = []
    for value in sized.graph.inputs:
        sides = static_shape(value)
        if sides:
            batches.append(sides[0] or 1)
            value.shape = ir.Shape([_assumed(axis, side, len(sides)) for axis, side in enumerate(sides)])
    infer_shapes(sized)
    return sized, min(batches, default=1)


def _assumed(axis: int, side: int | None, rank: int) -> int:
    if side is not None:
        return side
    return _ASSUMED_SIDE if axis and rank >= _SPATIAL_RANK else 1


def _elements(value: ir.Value | None) -> int:
    return prod(side or 1 for side in static_shape(value) or ())


def _side(value: ir.Value | None, axis: int) -> int:
    sides = static_shape(value) or ()
    return (sides[axis] or 1) if -len(sides) <= axis < len(sides) else 1


def _conv(node: ir.Node) -> int:
    """Each output element reads input channels / groups × kernel."""
    return _elements(node.outputs[0]) * _elements(node.inputs[1]) // max(1, _side(node.inputs[1], 0))


def _conv_transpose(node: ir.Node) -> int:
    """Each input element feeds output channels / groups × kernel."""
    return _elements(node.inputs[0]) * _elements(node.inputs[1]) // max(1, _side(node.inputs[1], 0))


def _gemm(node: ir.Node) -> int:
    return _elements(node.outputs[0]) * _side(node.inputs[0], 0 if int_attribute(node, "transA", 0) else 1)


def _matmul(node: ir.Node) -> int:
    return _elements(node.outputs[0]) * _side(node.inputs[0], -1)


_RULES: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
