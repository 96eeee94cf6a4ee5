"""Symbolic values of the small integer tensors that shape arithmetic is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import constant_value, int_attribute, is_default_domain

Elements = NDArray[np.object_]
"""Integers, or strings that stand for one non-negative number known only at run time: equal string, equal number."""

_MAX_SIZE = 64
_OPEN_END = 2**31 - 1


class ShapeValues:
    """Evaluates shape arithmetic node by node; ask for nodes in topological order."""

    def __init__(self) -> None:
        self._known: dict[ir.Value, Elements] = {}

    def of(self, value: ir.Value | None) -> Elements | None:
        """What is known of a tensor's elements; None for tensors that are no shape arithmetic."""
        if value is None:
            return None
        if value in self._known:
            return self._known[value]
        array = constant_value(value)
        if array is None or array.dtype.kind not in "ib" or array.size > _MAX_SIZE:
            return None
        return np.vectorize(int, otypes=[object])(array) if array.size else array.astype(object)

    def visit(self, node: ir.Node) -> Elements | None:
        """Evaluates the node's only output, if it is shape arithmetic."""
        rule = _RULES.get(node.op_type) if is_default_domain(node) and len(node.outputs) == 1 else None
        if rule is None:
            return None
        found = rule(node, [self.of(value) for value in node.inputs])
        if found is not None and found.size <= _MAX_SIZE:
            self._known[node.outputs[0]] = found
            return found
        return None


def all_integers(elements: Elements) -> bool:
    """Whether nothing in it depends on the run."""
    return all(isinstance(item, int) for item in elements.reshape(-1))


Inputs = list[Elements | None]
Rule = Callable[[ir.Node, Inputs], Elements | None]


def _shape(node: ir.Node, _inputs: Inputs) -> Elements | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    sides = [
        side if isinstance(side, int) else (side.value or f"{source.name}[{axis}]")
        for axis, side in enumerate(source.shape)
    ]
    return np.array(sides, dtype=object)[int_attribute(node, "start", 0) : int_attribute(node, "end", _OPEN_END)]


def _gather(node: ir.Node, inputs: Inputs) -> Elements | None:
    data, indices = inputs
    if data is None or indices is None or not all_integers(indices) or int_attribute(node, "axis", 0) != 0:
        return None
    return np.asarray(np.take(data, indices.astype(np.int64), axis=0), dtype=object)


def _slice(_node: ir.Node, inputs: Inputs) -> Elements | None:
    data, bounds = inputs[0], inputs[1:]
    if data is None or data.ndim != 1 or any(item is None or not all_integers(item) for item in bounds):
        return None
    start, end, _axis, step = (*(item.reshape(-1)[0] for item in bounds if item is not None), 0, 1)[:4]
    if len(bounds) < 4:
        step = 1
    return data[_limited(start) : _limited(end) : step]


def _limited(bound: int) -> int:
    return max(-_OPEN_END, min(_OPEN_END, bound))


def _concat(node: ir.Node, inputs: Inputs) -> Elements | None:
    if any(item is None or item.ndim != 1 for item in inputs):
        return None
    return np.concatenate([item for item in inputs if item is not None])


def _flat(_node: ir.Node, inputs: Inputs) -> Elements | None:
    """Unsqueeze of a scalar, Reshape of a vector to a vector."""
    return None if inputs[0] is None else inputs[0].reshape(-1)


def _unsqueeze(node: ir.Node, inputs: Inputs) -> Elements | None:
    return _flat(node, inputs) if inputs[0] is not None and inputs[0].ndim == 0 else None


def _squeeze(_node: ir.Node, inputs: Inputs) -> Elements | None:
    return inputs[0].reshape(()) if inputs[0] is not None and inputs[0].size == 1 else None


def _reshape(node: ir.Node, inputs: Inputs) -> Elements | None:
    rank = None if node.outputs[0].shape is None else len(node.outputs[0].shape)
    if inputs[0] is None or rank is None or rank > 1:
        return None
    return _flat(node, inputs) if rank else _squeeze(node, inputs)


def _cast(node: ir.Node, inputs: Inputs) -> Elements | None:
    return inputs[0] if int_attribute(node, "to", 0) in (ir.DataType.INT64, ir.DataType.INT32) else None


def _same(_node: ir.Node, inputs: Inputs) -> Elements | None:
    return inputs[0]


def _elementwise(symbol: str, compute: Callable[[int, int], int], neutral: int) -> Rule:
    """Arithmetic on integers; with an unknown operand the formula is its name."""

    def one(left: int | str, right: int | str) -> int | str:
        if isinstance(left, int) and isinstance(right, int):
            return compute(left, right)
        if isinstance(right, int) and right == neutral:
            return left
        return f"({left}{symbol}{right})"

    def rule(_node: ir.Node, inputs: Inputs) -> Elements | None:
        left, right = inputs
        if left is None or right is None or (symbol == "/" and 0 in right.reshape(-1).tolist()):
            return None
        return np.asarray(np.frompyfunc(one, 2, 1)(left, right), dtype=object)

    return rule


def _truncated_division(left: int, right: int) -> int:
    """ONNX integer Div rounds towards zero."""
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _equal(_node: ir.Node, inputs: Inputs) -> Elements | None:
    """A run-time dimension is never negative; whether it equals another number is open."""
    left, right = inputs
    if left is None or right is None:
        return None

    def one(a: int | str, b: int | str) -> int | None:
        if type(a) is type(b) and (isinstance(a, int) or a == b):
            return int(a == b)
        number = a if isinstance(a, int) else b
        return 0 if isinstance(number, int) and number < 0 else None

    found = np.asarray(np.frompyfunc(one, 2, 1)(left, right), dtype=object)
    return None if any(item is None for item in found.reshape(-1)) else found


def _where(_node: ir.Node, inputs: Inputs) -> Elements | None:
    condition, yes, no = inputs
    if condition is None or yes is None or no is None or not all_integers(condition):
        return None
    return np.where(condition.astype(bool), yes, no)


def _constant_of_shape(node: ir.Node, inputs: Inputs) -> Elements | None:
    sides = inputs[0]
    fill: Any = node.attributes.get_tensor("value", None)
    array = np.zeros(1) if fill is None else fill.numpy()
    if sides is None or not all_integers(sides) or array.dtype.kind != "i" or np.prod(sides, initial=1) > _MAX_SIZE:
        return None
    return np.full([int(side) for side in sides], int(array.reshape(-1)[0]), dtype=object)


_RULES: Mapping[str, Rule] = {
    "Shape": _shape,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Cast": _cast,
    "Identity": _same,
    "Mul": _elementwise("*", lambda a, b: a * b, 1),
    "Div": _elementwise("/", _truncated_division, 1),
    "Add": _elementwise("+", lambda a, b: a + b, 0),
    "Sub": _elementwise("-", lambda a, b: a - b, 0),
    "Equal": _equal,
    "Where": _where,
    "ConstantOfShape": _constant_of_shape,
}
