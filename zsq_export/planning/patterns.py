"""Sub-graphs that some targets compute best in float as a whole."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_float, is_op
from zsq_export.planning.table import Pattern

_ELEMENTWISE = frozenset(
    {"Sigmoid", "HardSigmoid", "Clip", "Relu", "Tanh", "Softplus", "Erf", "Add", "Sub", "Mul", "Div", "Pow", "Exp"}
)
_GATE_PATH = _ELEMENTWISE | frozenset(
    {"Conv", "Gemm", "MatMul", "HardSwish", "LeakyRelu", "PRelu", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
)
_SQUEEZE = ("GlobalAveragePool", "ReduceMean")
_LONGEST_GATE = 24


def nodes_of(pattern: Pattern, model: ir.Model) -> frozenset[str]:
    """Names of the nodes that belong to an instance of the pattern.

    SELF_GATE: ``x * f(x)`` with an element-wise f, and f itself: swish, hard-swish, GELU, mish.
    SQUEEZE_EXCITE: ``x * g(mean over space of x)``: the mean, the gate's layers and the multiplication.
    """
    finder = _FINDERS[pattern]
    return frozenset(node.name or "" for product in model.graph if is_op(product, "Mul") for node in finder(product))


def _self_gate(product: ir.Node) -> list[ir.Node]:
    return _gated(product, _ELEMENTWISE, lambda source, gate: source is gate)


def _squeeze_excite(product: ir.Node) -> list[ir.Node]:
    return _gated(product, _GATE_PATH, _is_mean_of)


def _is_mean_of(source: ir.Value, gate: ir.Value) -> bool:
    producer = gate.producer()
    return is_op(producer, *_SQUEEZE) and producer is not None and producer.inputs[0] is source


def _gated(product: ir.Node, path: frozenset[str], ends: Callable[[ir.Value, ir.Value], bool]) -> list[ir.Node]:
    """The product and its gate, whichever operand is the gate; empty if neither is."""
    first, second = product.inputs[0], product.inputs[1]
    if first is None or second is None or first is second:
        return []
    for source, gate in ((first, second), (second, first)):
        if found := _trace(source, gate, path, ends):
            return [product, *found]
    return []


def _trace(
    source: ir.Value, gate: ir.Value, path: frozenset[str], ends: Callable[[ir.Value, ir.Value], bool]
) -> list[ir.Node]:
    """Nodes between ``source`` and ``gate`` if every way back from ``gate`` ends at ``source``, else empty."""
    found: dict[ir.Node, None] = {}
    pending = [gate]
    while pending:
        value = pending.pop()
        producer = value.producer()
        if ends(source, value):
            if producer is not None and is_op(producer, *_SQUEEZE):
                found[producer] = None
            continue
        if producer is None or not is_op(producer, *path) or len(found) >= _LONGEST_GATE:
            return []
        if producer not in found:
            found[producer] = None
            pending.extend(v for v in producer.inputs if v is not None and is_float(v) and constant_value(v) is None)
    return list(found)


_FINDERS: dict[Pattern, Callable[[ir.Node], list[ir.Node]]] = {
    Pattern.SELF_GATE: _self_gate,
    Pattern.SQUEEZE_EXCITE: _squeeze_excite,
}
