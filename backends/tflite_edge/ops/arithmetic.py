"""Element-wise ops of two operands, and float functions of one."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.limits import limits_left
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import View, ordered

_FUSING = {
    "Add": ("ADD", schema.AddOptionsT),
    "Sub": ("SUB", schema.SubOptionsT),
    "Mul": ("MUL", schema.MulOptionsT),
    "Div": ("DIV", schema.DivOptionsT),
}
_EXTREMES = {"Max": "MAXIMUM", "Min": "MINIMUM"}
_FUNCTIONS = {
    "Abs": ("ABS", schema.AbsOptionsT), "Neg": ("NEG", schema.NegOptionsT), "Exp": ("EXP", schema.ExpOptionsT),
    "Sqrt": ("SQRT", None), "Log": ("LOG", None), "Sin": ("SIN", None), "Cos": ("COS", schema.CosOptionsT),
    "Floor": ("FLOOR", None), "Ceil": ("CEIL", None), "Round": ("ROUND", None), "Sign": ("SIGN", schema.SignOptionsT),
}  # fmt: skip


@handles("Add", "Sub", "Mul", data=(0, 1), clips=True)
def arithmetic(step: Step, emission: Emission) -> None:
    """ADD, SUB, MUL: every operand and the result may have a scale of its own."""
    _refuse_scales_per_channel(step)
    views, order = aligned(step, emission)
    code, left = limits_left(step)
    kind, options = _FUSING[step.node.op_type]
    chosen = options(fusedActivationFunction=code)
    if kind != "MUL":
        # Scales are no powers of two; the kernel for 16 bits has to be told.
        chosen.potScaleInt16 = False
    view = emission.result(step, order)
    emission.add(step.name, kind, [item.tensor for item in views], [view.tensor], chosen)
    emission.give(step, view, clip=left)


@handles("Div", data=(0, 1), integer=False, clips=True)
def division(step: Step, emission: Emission) -> None:
    """DIV, in float: the kernels have no int8."""
    views, order = aligned(step, emission)
    code, left = limits_left(step)
    view = emission.result(step, order)
    options = schema.DivOptionsT(fusedActivationFunction=code)
    emission.add(step.name, "DIV", [item.tensor for item in views], [view.tensor], options)
    emission.give(step, view, clip=left)


@handles("Pow", data=(0, 1), integer=False)
def power(step: Step, emission: Emission) -> None:
    """Squares as MUL, which is exact; other powers as POW."""
    exponent = step.operand(1).floats
    if exponent is not None and exponent.size == 1 and float(exponent.reshape(-1)[0]) == 2 and exponent.ndim == 0:
        view = emission.read(step)
        made = like(emission, step, view)
        emission.add(step.name, "MUL", [view.tensor, view.tensor], [made.tensor], schema.MulOptionsT())
    else:
        views, order = aligned(step, emission)
        made = emission.result(step, order)
        emission.add(step.name, "POW", [item.tensor for item in views], [made.tensor], schema.PowOptionsT())
    emission.give(step, made)


@handles("Max", "Min", data=None)
def extreme(step: Step, emission: Emission) -> None:
    """MAXIMUM, MINIMUM of two or more operands; in integers all of them are brought to the scale of the result."""
    _refuse_scales_per_channel(step)
    views, order = aligned(step, emission)
    quant = step.result().quant if step.integer else None
    tensors = []
    for item in views:
        fits = quant is None or item.tensor.quant == quant
        refuse_integers(not fits and item.tensor.data is not None, "a constant operand has another scale")
        tensors.append(item.tensor if fits else emission.requantized(item, quant, step.name).tensor)  # type: ignore[arg-type]
    sizes = emission.sizes_of(step.node.outputs[0])

    def combine(left: Tensor, right: Tensor) -> Tensor:
        made = emission.result(step, order, sizes=sizes)
        kind = _EXTREMES[step.node.op_type]
        emission.add(step.name, kind, [left, right], [made.tensor], schema.MaximumMinimumOptionsT())
        results.append(made)
        return made.tensor

    results: list[View] = []
    reduce(combine, tensors)
    emission.give(step, results[-1] if results else views[0])


@handles(*_FUNCTIONS, integer=False)
def function(step: Step, emission: Emission) -> None:
    """Float functions of one operand."""
    kind, options = _FUNCTIONS[step.node.op_type]
    unary(step, emission, kind, options() if options is not None else None)


@handles("Reciprocal", integer=False)
def reciprocal(step: Step, emission: Emission) -> None:
    """1 / x."""
    view = emission.read(step)
    made = like(emission, step, view)
    one = emission.scalar(1.0, None, f"{step.name}_one")
    emission.add(step.name, "DIV", [one, view.tensor], [made.tensor], schema.DivOptionsT())
    emission.give(step, made)


def unary(step: Step, emission: Emission, kind: str, options: Any = None) -> None:
    """An op of one operand that keeps the layout, whatever it is."""
    view = emission.read(step)
    made = like(emission, step, view)
    emission.add(step.name, kind, [view.tensor], [made.tensor], options)
    emission.give(step, made)


def like(emission: Emission, step: Step, view: View, quant: Any = None) -> View:
    """A new tensor for the result, stored as an operand is."""
    result = step.result()
    chosen = (quant or result.quant) if step.integer else None
    tensor = Tensor(
        name=emission.name(str(result.value.name)),
        sizes=view.tensor.sizes,
        element=view.tensor.element if step.integer else Element.FLOAT32,
        quant=chosen,
    )
    return replace(view, tensor=tensor)


def aligned(step: Step, emission: Emission) -> tuple[list[View], tuple[int, ...]]:
    """All operands with the rank of the result and their axes in one order: that of the largest computed operand."""
    slots = [slot for slot, item in enumerate(step.operands) if item is not None]
    views = [emission.read(step, slot) for slot in slots]
    rank = max(len(view.axes) for view in views)
    views = [replace(view, axes=((),) * (rank - len(view.axes)) + view.axes) for view in views]
    computed = [view for view in views if view.tensor.data is None] or views
    lead = max(computed, key=lambda view: view.tensor.elements)
    lead, order = emission.whole_order(lead, step.name)
    return [emission.arrange(view, ordered(view.axes, order), step.name) for view in views], order


def _refuse_scales_per_channel(step: Step) -> None:
    quants = [item.quant for item in step.operands if item is not None]
    refuse_integers(
        step.integer and any(quant is None or quant.axis is not None for quant in quants),
        "an operand has a scale per channel",
    )
