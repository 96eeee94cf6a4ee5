"""GELU written out as arithmetic, as exports below operator set 20 have it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from zsq_export.graph.opset import upgrade_opset
from zsq_export.graph.shapes import infer_shapes
from zsq_export.graph.topology import constant_scalar, constant_value, is_float, is_op, only_consumer, rank_of
from zsq_export.passes.editing import Editor

_GELU_OPSET = 20
_LONGEST_WAY = 8
_HIGHEST_POWER = 4
_TOLERANCE = 1e-4
"""Relative, of the coefficients: exports print them with few digits. The result then moves by less than 1e-4."""

Term = tuple[int, int]
"""Powers of x and of f(x)."""
Polynomial = Mapping[Term, float]

_X: Polynomial = {(1, 0): 1.0}
_F: Polynomial = {(0, 1): 1.0}
_GELU: Polynomial = {(1, 0): 0.5, (1, 1): 0.5}
_ROOT = math.sqrt(2 / math.pi)
_ARGUMENTS: Mapping[str, tuple[Polynomial, str]] = {
    "Erf": ({(1, 0): math.sqrt(0.5)}, "none"),
    "Tanh": ({(1, 0): _ROOT, (3, 0): 0.044715 * _ROOT}, "tanh"),
}
"""What the function is taken of, and the attribute ``approximate``. Source: ONNX Gelu-20."""


class FuseGelu(ir.passes.InPlacePass):
    """Replaces GELU written out by the op.

    1. ``0.5 x (1 + erf(x / √2))``, its products and sums in any order, is Gelu.
    2. ``0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))``, likewise, is Gelu with ``approximate="tanh"``.
    3. A model of an older operator set is raised to 20, which has Gelu, if there is anything to replace.

    The arithmetic is multiplied out, so that no spelling has to be known. A step that something else reads, too, stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to the main graph; float32 only."""
        if not any(_match(node) for node in model.graph):
            return ir.passes.PassResult(model, modified=False)
        if model.opset_imports.get("", 0) < _GELU_OPSET:
            upgrade_opset(model, _GELU_OPSET)
            infer_shapes(model)
        editor = Editor(model)
        for node in list(model.graph):
            found = _match(node)
            if found is not None:
                _replace(editor, *found, approximate=_ARGUMENTS[node.op_type][1])
        return editor.result()


def _match(function: ir.Node) -> tuple[ir.Value, ir.Node] | None:
    """The x of a GELU around this Erf or Tanh, and the node that gives the result."""
    if not is_op(function, *_ARGUMENTS) or not is_float(function.outputs[0]):
        return None
    wanted, _ = _ARGUMENTS[function.op_type]
    argument = function.inputs[0]
    for x in _sources(argument):
        if _equal(_expand(argument, {x: _X}), wanted):
            known = {x: _X, function.outputs[0]: _F}
            for last in _followers(function):
                if _equal(_expand(last.outputs[0], known), _GELU) and rank_of(last.outputs[0]) == rank_of(x):
                    return x, last
    return None


def _sources(value: ir.Value | None) -> Iterator[ir.Value]:
    """Computed tensors that a value may be a polynomial of, the nearest first."""
    pending = [value]
    for _ in range(_LONGEST_WAY):
        following: list[ir.Value | None] = []
        for item in dict.fromkeys(pending):
            if item is not None and constant_value(item) is None:
                yield item
                producer = item.producer()
                if is_op(producer, "Add", "Sub", "Mul", "Div", "Pow"):
                    following += producer.inputs  # type: ignore[union-attr]
        pending = following


def _followers(node: ir.Node) -> Iterator[ir.Node]:
    """The nodes behind, as long as each is the only reader of the one before."""
    for _ in range(_LONGEST_WAY):
        following = only_consumer(node.outputs[0])
        if following is None or not is_op(following, "Add", "Sub", "Mul", "Div"):
            return
        node = following
        yield node


def _expand(value: ir.Value | None, known: Mapping[ir.Value, Polynomial], depth: int = 0) -> Polynomial | None:
    """The value as a polynomial of the known ones; None if it is none, or of too high a degree."""
    if value is None or depth > 2 * _LONGEST_WAY:
        return None
    if value in known:
        return known[value]
    number = constant_scalar(value)
    if number is not None:
        return {(0, 0): number}
    node = value.producer()
    if node is None or not is_op(node, "Add", "Sub", "Mul", "Div", "Pow"):
        return None
    first, second = (_expand(item, known, depth + 1) for item in node.inputs)
    if first is None or second is None:
        return None
    return _combine(node.op_type, first, second)


def _combine(op_type: str, first: Polynomial, second: Polynomial) -> Polynomial | None:
    if op_type in ("Add", "Sub"):
        sign = 1.0 if op_type == "Add" else -1.0
        return {term: first.get(term, 0.0) + sign * second.get(term, 0.0) for term in {*first, *second}}
    if op_type == "Mul":
        return _product(first, second)
    number = second.get((0, 0)) if set(second) == {(0, 0)} else None
    if number is None:
        return None
    if op_type == "Div":
        return {term: factor / number for term, factor in first.items()} if number else None
    if number not in range(1, _HIGHEST_POWER):
        return None
    power: Polynomial | None = first
    for _ in range(int(number) - 1):
        power = None if power is None else _product(power, first)
    return power


def _product(first: Polynomial, second: Polynomial) -> Polynomial | None:
    found: dict[Term, float] = {}
    for (x, f), factor in first.items():
        for (other_x, other_f), other in second.items():
            term = x + other_x, f + other_f
            if max(term) > _HIGHEST_POWER:
                return None
            found[term] = found.get(term, 0.0) + factor * other
    return found


def _equal(found: Polynomial | None, wanted: Polynomial) -> bool:
    """Whether the coefficients agree; those that should not be there have to vanish."""
    if found is None:
        return False
    return all(
        abs(found.get(term, 0.0) - wanted.get(term, 0.0)) <= _TOLERANCE * abs(wanted.get(term, 0.0))
        for term in {*found, *wanted}
    )


def _replace(editor: Editor, x: ir.Value, last: ir.Node, *, approximate: str) -> None:
    output = last.outputs[0]
    attributes: dict[str, int | float | list[int] | str] = {} if approximate == "none" else {"approximate": approximate}
    gelu = editor.node(
        "Gelu", [x], like=output, value_name=f"{output.name}_gelu", node_name=f"{last.name}_gelu", attributes=attributes
    )
    editor.graph.insert_before(last, gelu)
    dead = [value.producer() for value in last.inputs if value is not None]
    editor.take_over(last, gelu.outputs[0])
    while dead:
        node = dead.pop()
        if node is None or node.graph is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
            continue
        dead += [value.producer() for value in node.inputs if value is not None]
        editor.remove(node)
