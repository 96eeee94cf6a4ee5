"""Concat."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import ordered
from zsq_export.graph.topology import int_attribute


@handles("Concat", attributes=("axis",), data=None)
def concat(step: Step, emission: Emission) -> None:
    """CONCATENATION; in integers every operand is brought to the scale of the result first."""
    views = [emission.read(step, slot) for slot in range(len(step.operands))]
    computed = [view for view in views if view.tensor.data is None] or views
    _, order = emission.whole_order(max(computed, key=lambda view: view.tensor.elements), step.name)
    axis = order.index(int_attribute(step.node, "axis", 0) % len(order))
    quant = step.result().quant if step.integer else None
    tensors: list[Tensor | None] = []
    for view in views:
        fits = quant is None or view.tensor.quant == quant
        refuse_integers(not fits and view.tensor.data is not None, "a constant operand has another scale")
        fitting = view if fits or quant is None else emission.requantized(view, quant, step.name)
        tensors.append(emission.arrange(fitting, ordered(fitting.axes, order), step.name).tensor)
    made = emission.result(step, order)
    emission.add(step.name, "CONCATENATION", tensors, [made.tensor], schema.ConcatenationOptionsT(axis=axis))
    emission.give(step, made)
