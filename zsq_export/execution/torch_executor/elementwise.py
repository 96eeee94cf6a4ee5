"""Elementwise arithmetic, comparison and logic, with ONNX (numpy-style) broadcasting."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple


def _truncate_divide(a: Tensor, b: Tensor) -> Tensor:
    if a.dtype.is_floating_point:
        return torch.div(a, b)
    return torch.div(a, b, rounding_mode="trunc")


def _power(a: Tensor, b: Tensor) -> Tensor:
    # ONNX: the result has the base's type, whatever the exponent's.
    return torch.pow(a, b).to(a.dtype)


_UNARY_AND_BINARY: dict[str, Kernel] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Add": torch.add,
    "And": torch.logical_and,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseNot": torch.bitwise_not,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Div": _truncate_divide,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Identity": lambda x: x,
    "IsNaN": torch.isnan,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "Pow": _power,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
    "Where": torch.where,
    "Xor": torch.logical_xor,
    "Max": lambda *xs: reduce(torch.maximum, xs),
    "Mean": lambda *xs: reduce(torch.add, xs) / len(xs),
    "Min": lambda *xs: reduce(torch.minimum, xs),
    "Sum": lambda *xs: reduce(torch.add, xs),
}

for _name, _kernel in _UNARY_AND_BINARY.items():
    simple(_name, _kernel)


@operator("Mod")
def _mod(node: NodeView) -> Kernel:
    # fmod=0 takes the divisor's sign (Python's %), fmod=1 the dividend's (C's fmod).
    return torch.fmod if node.integer("fmod") else torch.remainder


@operator("BitShift")
def _bit_shift(node: NodeView) -> Kernel:
    direction = node.choice("direction", "", ("LEFT", "RIGHT"))
    return torch.bitwise_left_shift if direction == "LEFT" else torch.bitwise_right_shift


@operator("IsInf")
def _is_inf(node: NodeView) -> Kernel:
    negative, positive = node.integer("detect_negative", 1), node.integer("detect_positive", 1)
    if negative and positive:
        return torch.isinf
    if positive:
        return torch.isposinf
    return torch.isneginf if negative else lambda x: torch.zeros_like(x, dtype=torch.bool)


@operator("Dropout", outputs=2)
def _dropout(node: NodeView) -> Kernel:
    node.real("ratio")
    node.integer("seed")
    training = node.constant(2)
    if node.has(2) and (training is None or bool(training)):
        raise node.unsupported("training mode is not implemented")
    if node.output_count == 1:
        return lambda x, *_ignored: x
    return lambda x, *_ignored: (x, torch.ones_like(x, dtype=torch.bool))
