"""ArgMax, ArgMin and TopK, on floats; indices come out as ONNX has them."""

from __future__ import annotations

from dataclasses import replace

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import ONE, fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import ordered
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute


@handles("ArgMax", "ArgMin", attributes=("axis", "keepdims", "select_last_index"), integer=False)
def argument(step: Step, emission: Emission) -> None:
    """ARG_MAX, ARG_MIN; of equal elements the first."""
    node = step.node
    if int_attribute(node, "select_last_index", 0):
        raise UnsupportedOpError(f"node {step.name!r} ({node.op_type}): select_last_index is not handled")
    view, order = emission.whole_order(emission.read(step), step.name)
    axis = int_attribute(node, "axis", 0) % len(order)
    operand = emission.integers([order.index(axis)], "axis")
    left = tuple(index for index in order if index != axis)
    sizes = tuple(size for index, size in enumerate(view.sizes) if index != axis)
    renumbered = tuple(index - (index > axis) for index in left)
    made = emission.new(str(step.result().value.name), sizes, renumbered, None, Element.INT64)
    kind, options = (
        ("ARG_MAX", schema.ArgMaxOptionsT) if node.op_type == "ArgMax" else ("ARG_MIN", schema.ArgMinOptionsT)
    )
    chosen = options(outputType=schema.TensorType.INT64)
    emission.add(step.name, kind, [view.tensor, operand], [made.tensor], chosen)
    if int_attribute(node, "keepdims", 1):
        made = replace(made, axes=(*made.axes[:axis], (), *made.axes[axis:]))
    emission.give(step, made)


@handles("TopK", attributes=("axis", "largest", "sorted"), integer=False)
def top_k(step: Step, emission: Emission) -> None:
    """TOPK_V2 over the last dimension; its indices are cast to int64."""
    node = step.node
    if not int_attribute(node, "largest", 1):
        raise UnsupportedOpError(f"node {step.name!r} (TopK): target tflite gives the largest elements only")
    count = constant_value(node.inputs[1])
    if count is None:
        raise UnsupportedOpError(f"node {step.name!r} (TopK): its k is computed at run time")
    view, order = emission.whole_order(emission.read(step), step.name)
    axis = int_attribute(node, "axis", -1) % len(order)
    order = (*(index for index in order if index != axis), axis)
    view = emission.arrange(view, ordered(view.axes, order), step.name)
    k = int(count.reshape(-1)[0])
    sizes = tuple(fixed(k) if index == axis and k > 1 else ONE if index == axis else size
                  for index, size in enumerate(view.sizes))  # fmt: skip
    values = emission.new(f"{step.name}_values", sizes, order, None)
    indices = emission.new(f"{step.name}_indices", sizes, order, None, Element.INT32)
    operand = emission.integers(k, "k")
    emission.add(step.name, "TOPK_V2", [view.tensor, operand], [values.tensor, indices.tensor], schema.TopKV2OptionsT())
    if step.results[0] is not None:
        emission.give(step, values)
    if step.results[1] is not None:
        wide = Tensor(name=emission.name(f"{step.name}_wide"), sizes=indices.tensor.sizes, element=Element.INT64)
        options = schema.CastOptionsT(inDataType=schema.TensorType.INT32, outDataType=schema.TensorType.INT64)
        emission.add(step.name, "CAST", [indices.tensor], [wide], options)
        emission.give(step, replace(indices, tensor=wide), 1)
