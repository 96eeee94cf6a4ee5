"""Comparisons of floats, what is made of their answers, and Where."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element
from zsq_export.backends.tflite_edge.ops.arithmetic import aligned
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import is_float

_COMPARISONS = {
    "Greater": ("GREATER", schema.GreaterOptionsT), "GreaterOrEqual": ("GREATER_EQUAL", schema.GreaterEqualOptionsT),
    "Less": ("LESS", schema.LessOptionsT), "LessOrEqual": ("LESS_EQUAL", schema.LessEqualOptionsT),
    "Equal": ("EQUAL", schema.EqualOptionsT),
}  # fmt: skip
_JUNCTIONS = {
    "And": ("LOGICAL_AND", schema.LogicalAndOptionsT), "Or": ("LOGICAL_OR", schema.LogicalOrOptionsT),
    "Not": ("LOGICAL_NOT", schema.LogicalNotOptionsT),
}  # fmt: skip


@handles(*_COMPARISONS, data=(0, 1), integer=False)
def comparison(step: Step, emission: Emission) -> None:
    """GREATER and its like, of floats."""
    if not all(is_float(value) for value in step.node.inputs):
        raise UnsupportedOpError(f"node {step.name!r} ({step.node.op_type}): target tflite compares floats only")
    _answer(step, emission, *_COMPARISONS[step.node.op_type])


@handles(*_JUNCTIONS, data=None, integer=False)
def junction(step: Step, emission: Emission) -> None:
    """LOGICAL_AND and its like."""
    for slot in range(len(step.operands)):
        _refuse_constant_answer(step, slot)
    _answer(step, emission, *_JUNCTIONS[step.node.op_type])


def _answer(step: Step, emission: Emission, kind: str, options: type) -> None:
    views, order = aligned(step, emission)
    value = step.result().value
    made = emission.new(str(value.name), emission.sizes_of(value), order, None, Element.BOOL)
    emission.add(step.name, kind, [view.tensor for view in views], [made.tensor], options())
    emission.give(step, made)


@handles("Where", data=(0, 1, 2), integer=False)
def where(step: Step, emission: Emission) -> None:
    """SELECT_V2, of floats."""
    _refuse_constant_answer(step, 0)
    if not is_float(step.node.outputs[0]):
        raise UnsupportedOpError(f"node {step.name!r} (Where): target tflite chooses among floats only")
    views, order = aligned(step, emission)
    made = emission.result(step, order)
    emission.add(step.name, "SELECT_V2", [view.tensor for view in views], [made.tensor], schema.SelectV2OptionsT())
    emission.give(step, made)


def _refuse_constant_answer(step: Step, slot: int) -> None:
    if step.operand(slot).is_constant:
        raise UnsupportedOpError(f"node {step.name!r} ({step.node.op_type}): its condition is a constant")
