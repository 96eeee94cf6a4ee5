"""Products of dequantized operands, summed as integers: the same to the last bit on every device and thread count.

A float sum depends on its order, and in a quantized graph a difference in its last bit moves a value that lies between
two steps by a whole step. Sums of integers below 2**24 are exact in float32, in any order; rounding the sum also undoes
what an indirect algorithm (Winograd, TF32) adds to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel

EXACT_IN_FLOAT32 = 2**24
_INTEGERS = (torch.int8, torch.uint8, torch.int16)
_BIAS = 2
_MOVES = frozenset({
    "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Relu", "Reshape", "Slice", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators whose outputs are some of the values of their first input, or 0."""

Constant = Callable[[ir.Value | None], Tensor | None]
"""The value of a tensor that is known before the graph runs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactProduct:
    """What a product reads and does instead.

    Attributes:
        operands: tensors of the graph, or constants to be placed; None for an absent bias.
        kernel: of these operands.
    """

    operands: tuple[ir.Value | Tensor | None, ...]
    kernel: Kernel


def exact_product(node: ir.Node, plain: Kernel, constant: Constant) -> ExactProduct | None:
    """The exact form of a Conv, Gemm or MatMul of two dequantized operands; None if the node is none.

    Args:
        node: of the graph.
        plain: its kernel as bound.
        constant: looks up constants.
    """
    if node.op_type not in _OUTPUT_AXIS or not _unscaled(node):
        return None
    left = _multiples(node.inputs[0], constant)
    if left is None:
        return None
    bias = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
    weight = _weight(node, constant)
    if weight is not None:
        return _with_weight(node, left, weight, bias, plain)
    right = _multiples(node.inputs[1], constant)
    return _of_two_activations(left, right, plain) if right is not None and bias is None else None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Multiples:
    """A float tensor whose values are integers, of magnitude ``reach`` at most, times one scale."""

    value: ir.Value
    scale: Tensor
    reach: int

    def integers(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.round(values.to(dtype) / self.scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Weight:
    """Integers less their zero points, float64, and the scale: one, or one per output."""

    integers: Tensor
    scale: Tensor


def _with_weight(
    node: ir.Node, left: _Multiples, weight: _Weight, bias: ir.Value | None, plain: Kernel
) -> ExactProduct | None:
    per_output = weight.integers.movedim(_OUTPUT_AXIS[node.op_type](node), 0).flatten(1)
    dtype = _exact_type(left.reach * float(per_output.abs().sum(1).max()))
    trailing = [1] * (weight.integers.dim() - 2) if node.op_type == "Conv" else []
    scale = (left.scale * weight.scale).reshape([-1, *trailing])

    def product(x: Tensor, w: Tensor, factors: Tensor, offset: Tensor | None = None) -> Tensor:
        scaled = torch.round(plain(left.integers(x, dtype), w)).float() * factors
        return scaled if offset is None else scaled + offset.reshape([*offset.shape, *trailing])

    return ExactProduct(operands=(left.value, weight.integers.to(dtype), scale, bias), kernel=product)


def _of_two_activations(left: _Multiples, right: _Multiples, plain: Kernel) -> ExactProduct:
    scale = left.scale * right.scale

    def product(a: Tensor, b: Tensor, factor: Tensor) -> Tensor:
        dtype = _exact_type(left.reach * right.reach * a.shape[-1])
        return torch.round(plain(left.integers(a, dtype), right.integers(b, dtype))).float() * factor

    return ExactProduct(operands=(left.value, right.value, scale), kernel=product)


def _exact_type(largest: float) -> torch.dtype:
    return torch.float32 if largest < EXACT_IN_FLOAT32 else torch.float64


def _multiples(value: ir.Value | None, constant: Constant) -> _Multiples | None:
    """The tensor as multiples of one scale, if it was dequantized and only moved since."""
    parameters = _moved_parameters(value, constant)
    if value is None or parameters is None or parameters[0].numel() != 1:
        return None
    scale, zero_point = parameters
    limits, zero = torch.iinfo(zero_point.dtype), int(zero_point)
    return _Multiples(value=value, scale=scale.reshape(()), reach=max(zero - limits.min, limits.max - zero))


def _moved_parameters(value: ir.Value | None, constant: Constant) -> tuple[Tensor, Tensor] | None:
    """Those of a tensor that was only moved since it was dequantized, or joined with others of the same parameters."""
    node = value.producer() if value is not None else None
    if node is None:
        return None
    if node.op_type in _MOVES:
        return _moved_parameters(node.inputs[0], constant)
    if node.op_type != "Concat":
        return _parameters(value, constant)
    found = [_moved_parameters(part, constant) for part in node.inputs]
    first = found[0]
    if first is None or not all(other is not None and _equal(first, other) for other in found[1:]):
        return None
    return first


def _equal(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True))


def _weight(node: ir.Node, constant: Constant) -> _Weight | None:
    """The second operand, if it is constant, of two axes or more, and has its scales along the outputs."""
    value, axis = node.inputs[1], _OUTPUT_AXIS[node.op_type](node)
    parameters = _parameters(value, constant)
    source = value.producer() if value is not None else None
    integers = constant(source.inputs[0]) if source is not None else None
    if parameters is None or source is None or integers is None or integers.dim() < 2:
        return None
    scale, zero_point = parameters
    shape = [1] * integers.dim()
    if scale.numel() > 1:
        along = (source.attributes["axis"].as_int() if "axis" in source.attributes else 1) % integers.dim()
        if along != axis % integers.dim():
            return None
        shape[along] = -1
    return _Weight(integers=integers.double() - zero_point.double().reshape(shape), scale=scale.reshape(-1))


def _parameters(value: ir.Value | None, constant: Constant) -> tuple[Tensor, Tensor] | None:
    """Constant scale and zero point of the DequantizeLinear that makes the tensor, unless they go by blocks."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or "block_size" in node.attributes or len(node.inputs) < 3:
        return None
    scale, zero_point = constant(node.inputs[1]), constant(node.inputs[2])
    if scale is None or zero_point is None or scale.dtype is not torch.float32 or zero_point.dtype not in _INTEGERS:
        return None
    return scale, zero_point


def _unscaled(node: ir.Node) -> bool:
    factors = (node.attributes[name].as_float() for name in ("alpha", "beta") if name in node.attributes)
    return all(factor == 1.0 for factor in factors)


def _columns(node: ir.Node) -> int:
    return 0 if "transB" in node.attributes and node.attributes["transB"].as_int() else 1


_OUTPUT_AXIS: dict[str, Callable[[ir.Node], int]] = {"Conv": lambda _: 0, "Gemm": _columns, "MatMul": lambda _: -1}
"""Axis of the second operand along which the outputs lie."""
