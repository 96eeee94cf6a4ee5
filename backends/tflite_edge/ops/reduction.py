"""Reductions over axes."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.ops.arithmetic import like
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import ONE
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import View, flat
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute

_KINDS = {
    "ReduceMean": "MEAN", "ReduceMax": "REDUCE_MAX", "ReduceMin": "REDUCE_MIN", "ReduceSum": "SUM",
    "ReduceProd": "REDUCE_PROD",
}  # fmt: skip
_SUMMED = {"ReduceL1": "ABS", "ReduceL2": "MUL", "ReduceSumSquare": "MUL"}
"""What is summed up of every element: its size, or its square."""
_ATTRIBUTES = ("axes", "keepdims", "noop_with_empty_axes")
_SAME_SCALE = frozenset({"REDUCE_MAX", "REDUCE_MIN"})
_AXES_SLOT = 1


@handles(*_SUMMED, attributes=_ATTRIBUTES, integer=False)
def norm(step: Step, emission: Emission) -> None:
    """SUM of squares or sizes; the square root of it, for ReduceL2."""
    view, kind = emission.read(step), _SUMMED[step.node.op_type]
    measured = like(emission, step, view)
    squares = kind == "MUL"
    operands: list[Tensor | None] = [view.tensor, view.tensor] if squares else [view.tensor]
    options = schema.MulOptionsT() if squares else schema.AbsOptionsT()
    emission.add(step.name, kind, operands, [measured.tensor], options)
    axes, keep = _axes(step, len(view.axes)), bool(int_attribute(step.node, "keepdims", 1))
    root = "SQRT" if step.node.op_type == "ReduceL2" else None
    reduce_to(step, emission, "SUM", axes, keep=keep, source=measured, then=root)


@handles("ReduceProd", attributes=_ATTRIBUTES, integer=False)
@handles("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", attributes=_ATTRIBUTES)
def reduction(step: Step, emission: Emission) -> None:
    """MEAN, REDUCE_MAX, REDUCE_MIN, SUM; without axes, over all of them."""
    axes = _axes(step, len(emission.read(step).axes))
    reduce_to(step, emission, _KINDS[step.node.op_type], axes, keep=bool(int_attribute(step.node, "keepdims", 1)))


def _axes(step: Step, rank: int) -> tuple[int, ...]:
    node = step.node
    value = node.inputs[_AXES_SLOT] if len(node.inputs) > _AXES_SLOT else None
    given = constant_value(value)
    if value is not None and given is None:
        raise UnsupportedOpError(f"node {step.name!r} ({node.op_type}): its axes are computed at run time")
    axes = tuple(node.attributes.get_ints("axes", ())) if given is None else tuple(given.reshape(-1).tolist())
    if not axes and int_attribute(node, "noop_with_empty_axes", 0):
        raise UnsupportedOpError(f"node {step.name!r} ({node.op_type}): target tflite does not handle empty axes")
    return tuple(sorted(axis % rank for axis in axes)) if axes else tuple(range(rank))


def reduce_to(
    step: Step,
    emission: Emission,
    kind: str,
    axes: tuple[int, ...],
    *,
    keep: bool,
    source: View | None = None,
    then: str | None = None,
) -> None:
    """One reduction; REDUCE_MAX and REDUCE_MIN keep the scale, MEAN and SUM may change it.

    Args:
        step: see there.
        emission: see there.
        kind: of the op.
        axes: of the ONNX tensor.
        keep: as axes of length 1.
        source: what is reduced; None: operand 0.
        then: an op of one operand on what comes out.
    """
    view, order = emission.whole_order(source or emission.read(step), step.name)
    sizes = tuple(ONE if axis in axes else size for axis, size in enumerate(view.sizes))
    if not any(flat(tuple(view.axes[axis] for axis in axes))):
        axes = axes[:1]
    operand = emission.integers(sorted(order.index(axis) for axis in axes), "axes")
    quant = view.tensor.quant if kind in _SAME_SCALE else None
    made = emission.result(step, order, quant=quant, sizes=sizes)
    emission.add(step.name, kind, [view.tensor, operand], [made.tensor], schema.ReducerOptionsT(keepDims=True))
    if then is not None:
        reduced, made = made, like(emission, step, made)
        emission.add(step.name, then, [reduced.tensor], [made.tensor])
    if keep:
        emission.give(step, made)
        return
    kept = tuple(axis for index, axis in enumerate(made.axes) if index not in axes)
    emission.give(step, type(made)(tensor=made.tensor, axes=kept, dims=made.dims))
