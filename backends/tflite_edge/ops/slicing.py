"""Slice, Split and Gather."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.ops.shape import as_shape
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View, ordered, storage_order
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

_MAX_RANK = 5
_SPLITS = (2, 3, 4)
_THINNED_TYPES = (Element.FLOAT32, Element.INT8)
Cut = dict[int, tuple[int, int, int]]
"""ONNX axis -> first index, number of elements, step."""


@handles("Slice")
def slice_(step: Step, emission: Emission) -> None:
    """STRIDED_SLICE. Every n-th row and column of a picture comes from a depthwise convolution of one element."""
    view = emission.read(step)
    cuts = {axis: cut for axis, cut in _cuts(step, view).items() if cut != (0, view.sizes[axis].one, 1)}
    if any(view.sizes[axis].is_open for axis in cuts):
        raise UnsupportedOpError(
            f"node {step.name!r} (Slice): it cuts the batch, which is open", hint="export the model with a fixed batch"
        )
    strides = {axis: stride for axis, (_, _, stride) in cuts.items() if stride > 1}
    order = storage_order(view)
    if order == NHWC and strides and set(strides) <= {2, 3} and view.tensor.element in _THINNED_TYPES:
        reach = {axis: (start, (length - 1) * stride + 1, 1) for axis, (start, length, stride) in cuts.items()}
        changed = {axis: entry for axis, entry in reach.items() if entry != (0, view.sizes[axis].one, 1)}
        view = _thinned(emission, step, cut(emission, step, view, changed), strides)
    else:
        view = cut(emission, step, view, cuts, str(step.result().value.name))
    emission.give(step, view)


def _thinned(emission: Emission, step: Step, view: View, strides: dict[int, int]) -> View:
    """Every n-th element along height and width, exactly: one weight of 1, under the tensor's own scale."""
    view = emission.arrange(view, ordered(view.axes, NHWC), step.name)
    tensor, channels = view.tensor, view.sizes[1].one
    steps = [strides.get(axis, 1) for axis in (2, 3)]
    sides = [fixed(-(-view.sizes[axis].one // stride)) for axis, stride in zip((2, 3), steps, strict=True)]
    quant = tensor.quant
    weight_quant = None if quant is None else QParams(scale=(1.0,), zero_point=(0,), dtype=QuantDtype.INT8)
    bias_quant = None if quant is None else QParams(scale=quant.scale, zero_point=(0,), dtype=QuantDtype.INT32)
    weight = emission.array(np.ones((1, 1, 1, channels)), weight_quant, f"{step.name}_one")
    bias = emission.array(np.zeros(channels), bias_quant, f"{step.name}_zero")
    made = emission.new(f"{step.name}_thinned", (view.sizes[0], view.sizes[1], *sides), NHWC, quant)
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.VALID, strideH=steps[0], strideW=steps[1], depthMultiplier=1
    )
    emission.add(step.name, "DEPTHWISE_CONV_2D", [tensor, weight, bias], [made.tensor], options)
    return made


def _cuts(step: Step, view: View) -> Cut:
    node, rank = step.node, len(view.axes)
    given: list[NDArray[np.int64] | None] = []
    for value in node.inputs[1:]:
        array = constant_value(value)
        if value is not None and array is None:
            raise UnsupportedOpError(f"node {step.name!r} (Slice): its bounds are computed at run time")
        given.append(None if array is None else array.reshape(-1).astype(np.int64))
    starts, ends, axes, steps = (*given, None, None)[:4]
    assert starts is not None and ends is not None
    axes = np.arange(len(starts)) if axes is None else axes % rank
    steps = np.ones(len(starts), dtype=np.int64) if steps is None else steps
    found = {}
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        chosen = range(view.sizes[axis].one)[slice(int(start), _end(int(end), int(stride)), int(stride))]
        found[int(axis)] = (chosen.start, len(chosen), chosen.step)
    return found


def _end(end: int, stride: int) -> int | None:
    """ONNX: an end far below zero is before the first element, for a negative step."""
    return None if stride < 0 and end < -(2**31) + 2 else end


@handles("Split", attributes=("axis", "num_outputs"))
def split(step: Step, emission: Emission) -> None:
    """SPLIT into two to four equal parts, which the delegate takes; else one slice per part."""
    view = emission.read(step)
    axis = int_attribute(step.node, "axis", 0) % len(view.axes)
    if view.sizes[axis].is_open:
        raise UnsupportedOpError(f"node {step.name!r} (Split): it splits the batch, which is open")
    lengths = [emission.sizes_of(value)[axis].one for value in step.node.outputs]
    if len(set(lengths)) == 1 and len(lengths) in _SPLITS:
        _equal_parts(step, emission, view, axis)
        return
    start = 0
    for slot, length in enumerate(lengths):
        if step.results[slot] is not None:
            emission.give(
                step, cut(emission, step, view, {axis: (start, length, 1)}, str(step.node.outputs[slot].name)), slot
            )
        start += length


def _equal_parts(step: Step, emission: Emission, view: View, axis: int) -> None:
    view, order = emission.whole_order(view, step.name)
    parts = [
        emission.new(str(value.name), emission.sizes_of(value), order, view.tensor.quant) for value in step.node.outputs
    ]
    operands: list[Tensor | None] = [emission.integers(order.index(axis), "axis"), view.tensor]
    options = schema.SplitOptionsT(numSplits=len(parts))
    emission.add(step.name, "SPLIT", operands, [part.tensor for part in parts], options)
    for slot, part in enumerate(parts):
        if step.results[slot] is not None:
            emission.give(step, part, slot)


@handles("Gather", attributes=("axis",))
def gather(step: Step, emission: Emission) -> None:
    """Constant indices: a slice where they are consecutive (or one number), else GATHER. A table of them is a shape."""
    view = emission.read(step)
    indices = constant_value(step.node.inputs[1])
    if indices is None:
        raise UnsupportedOpError(f"node {step.name!r} (Gather): its indices are computed at run time")
    axis = int_attribute(step.node, "axis", 0) % len(view.axes)
    if view.sizes[axis].is_open:
        raise UnsupportedOpError(f"node {step.name!r} (Gather): it picks samples of an open batch")
    flat = indices.reshape(-1).astype(np.int64) % view.sizes[axis].one
    consecutive = np.array_equal(flat, np.arange(flat[0], flat[0] + len(flat)))
    if consecutive:
        if len(flat) == 1:
            view = _in_front(emission, step, view, axis)
        whole = len(flat) == view.sizes[axis].one
        cuts = {} if whole else {axis: (int(flat[0]), len(flat), 1)}
        made = cut(emission, step, view, cuts, str(step.result().value.name))
    else:
        made = picked(emission, step, view, axis, flat)
    if indices.ndim == 0:
        made = replace(made, axes=tuple(item for index, item in enumerate(made.axes) if index != axis))
    elif indices.ndim > 1:
        made = as_shape(emission, made, emission.sizes_of(step.node.outputs[0]), step.name)
    emission.give(step, made)


def _in_front(emission: Emission, step: Step, view: View, axis: int) -> View:
    """The view with this axis stored first, if it was stored last: every n-th element costs more than a transpose."""
    order = storage_order(view)
    if order is None or order[-1] != axis or len(view.axes[axis]) != 1:
        return view
    front = (axis, *order[:-1])
    return emission.arrange(view, ordered(view.axes, front), step.name)


def picked(emission: Emission, step: Step, view: View, axis: int, indices: NDArray[np.int64]) -> View:
    """GATHER along one axis."""
    view, order = emission.whole_order(view, step.name)
    sizes = tuple(fixed(len(indices)) if index == axis else size for index, size in enumerate(view.sizes))
    made = emission.new(f"{step.name}_picked", sizes, order, view.tensor.quant)
    options = schema.GatherOptionsT(axis=order.index(axis))
    emission.add(step.name, "GATHER", [view.tensor, emission.integers(indices, "indices")], [made.tensor], options)
    return made


def cut(emission: Emission, step: Step, view: View, cuts: Cut, name: str = "") -> View:
    """Part of a tensor under its own scale, by STRIDED_SLICE.

    Begins and ends at the edges are masked, so that they hold at every batch; SLICE of an open batch is not delegated.
    """
    if not cuts:
        return view
    view, order = emission.whole_order(view, step.name)
    if len(order) > _MAX_RANK:
        raise UnsupportedOpError(f"node {step.name!r} slices {len(order)} axes, TensorFlow Lite has {_MAX_RANK}")
    sizes = tuple(fixed(cuts[axis][1]) if axis in cuts else size for axis, size in enumerate(view.sizes))
    made = emission.new(name or f"{step.name}_part", sizes, order, view.tensor.quant)
    dims = [cuts.get(axis) for axis in order]
    begin = [0 if entry is None else entry[0] for entry in dims]
    ends = [0 if entry is None else max(0, entry[0] + entry[1] * entry[2]) for entry in dims]
    past = [entry is None or entry[0] + entry[1] * entry[2] < 0 for entry in dims]
    operands: list[Tensor | None] = [
        view.tensor,
        emission.integers(begin, "begin"),
        emission.integers(ends, "end"),
        emission.integers([1 if entry is None else entry[2] for entry in dims], "strides"),
    ]
    options = schema.StridedSliceOptionsT(beginMask=_mask([entry is None for entry in dims]), endMask=_mask(past))
    emission.add(step.name, "STRIDED_SLICE", operands, [made.tensor], options)
    return made


def _mask(flags: list[bool]) -> int:
    return sum(1 << index for index, flag in enumerate(flags) if flag)
