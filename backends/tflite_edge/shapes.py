"""The length of every axis, as a number at a batch of one and at any other batch."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.backends.tflite_edge.sizes import MANY, Size, fixed
from zsq_export.errors import ModelError
from zsq_export.graph.shapes import infer_shapes
from zsq_export.graph.topology import static_shape
from zsq_export.passes.settle_shapes import SettleShapes

Sizes = dict[str, tuple[Size, ...]]


def sizes_of(model: ir.Model) -> Sizes:
    """Tensor name -> lengths, for every tensor whose shape follows from the inputs.

    Axis 0 of the inputs may be open. A model that works at one batch only (a Reshape with the batch baked in) gets
    fixed lengths.

    Raises:
        ModelError: another axis of an input is open.
    """
    for value in model.graph.inputs:
        sides = static_shape(value)
        if sides is None or None in sides[1:]:
            raise ModelError(
                f"input {value.name!r} has shape {sides}: only the batch, axis 0, may be open for target tflite",
                hint="export the model with a fixed input size, or give it one with "
                f"`python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name {value.name} --input_shape ...`",
            )
    one = _shapes_at(model, 1)
    if not any(None in (static_shape(value) or ()) for value in model.graph.inputs):
        return {name: tuple(map(fixed, shape)) for name, shape in one.items()}
    many = _shapes_at(model, MANY)
    if not all(_grows(shape, many.get(name)) for name, shape in one.items()):
        return {name: tuple(map(fixed, shape)) for name, shape in one.items()}
    return {name: tuple(map(Size, shape, many[name])) for name, shape in one.items()}


def _grows(one: tuple[int, ...], many: tuple[int, ...] | None) -> bool:
    """Whether every axis is the same at both batches, or proportional to them."""
    if many is None or len(one) != len(many) or sum(a != b for a, b in zip(one, many, strict=True)) > 1:
        return False
    return all(b in (a, a * MANY) for a, b in zip(one, many, strict=True))


def _shapes_at(model: ir.Model, batch: int) -> dict[str, tuple[int, ...]]:
    copy = model.clone()
    for value in copy.graph.inputs:
        value.shape = ir.Shape([batch if not isinstance(side, int) else side for side in value.shape or ()])
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    infer_shapes(copy)
    SettleShapes()(copy)
    values = [*copy.graph.inputs, *copy.graph.initializers.values(), *(v for node in copy.graph for v in node.outputs)]
    found = {}
    for value in values:
        shape = static_shape(value)
        if shape is not None and None not in shape and value.name:
            found[value.name] = tuple(side for side in shape if side is not None)
    return found
