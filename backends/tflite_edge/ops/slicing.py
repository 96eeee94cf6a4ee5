"""Slice, Split and Gather."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission, whole_order
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import View
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute

_MAX_RANK = 5
Cut = dict[int, tuple[int, int, int]]
"""ONNX axis -> first index, number of elements, step."""


@handles("Slice")
def slice_(step: Step, emission: Emission) -> None:
    """SLICE, or STRIDED_SLICE where steps are not 1."""
    view = emission.read(step)
    cuts = {axis: cut for axis, cut in _cuts(step, view).items() if cut != (0, view.sizes[axis].one, 1)}
    if any(view.sizes[axis].is_open for axis in cuts):
        raise UnsupportedOpError(
            f"node {step.name!r} (Slice): it cuts the batch, which is open", hint="export the model with a fixed batch"
        )
    emission.give(step, cut(emission, step, view, cuts))


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
    """One SLICE per part: parts may differ in length, and the delegate takes any number of them."""
    view = emission.read(step)
    axis = int_attribute(step.node, "axis", 0) % len(view.axes)
    start = 0
    for slot, value in enumerate(step.node.outputs):
        length = emission.sizes_of(value)[axis].one
        if step.results[slot] is not None:
            emission.give(step, cut(emission, step, view, {axis: (start, length, 1)}, slot), slot)
        start += length


@handles("Gather", attributes=("axis",))
def gather(step: Step, emission: Emission) -> None:
    """Constant indices: a slice where they are consecutive (or one number), else GATHER."""
    view = emission.read(step)
    indices = constant_value(step.node.inputs[1])
    if indices is None:
        raise UnsupportedOpError(f"node {step.name!r} (Gather): its indices are computed at run time")
    axis = int_attribute(step.node, "axis", 0) % len(view.axes)
    if view.sizes[axis].is_open:
        raise UnsupportedOpError(f"node {step.name!r} (Gather): it picks samples of an open batch")
    flat = indices.reshape(-1).astype(np.int64) % view.sizes[axis].one
    if indices.ndim > 1:
        raise UnsupportedOpError(f"node {step.name!r} (Gather): target tflite handles a vector of indices or one index")
    consecutive = np.array_equal(flat, np.arange(flat[0], flat[0] + len(flat)))
    if consecutive:
        made = cut(emission, step, view, {axis: (int(flat[0]), len(flat), 1)})
    else:
        made = picked(emission, step, view, axis, flat)
    if indices.ndim == 0:
        made = replace(made, axes=tuple(item for index, item in enumerate(made.axes) if index != axis))
    emission.give(step, made)


def picked(emission: Emission, step: Step, view: View, axis: int, indices: NDArray[np.int64]) -> View:
    """GATHER along one axis."""
    view, order = whole_order(emission, view, step.name)
    sizes = tuple(fixed(len(indices)) if index == axis else size for index, size in enumerate(view.sizes))
    made = emission.new(f"{step.name}_picked", sizes, order, view.tensor.quant)
    options = schema.GatherOptionsT(axis=order.index(axis))
    emission.add(step.name, "GATHER", [view.tensor, emission.integers(indices, "indices")], [made.tensor], options)
    return made


def cut(emission: Emission, step: Step, view: View, cuts: Cut, slot: int = 0) -> View:
    """Part of a tensor under its own scale; dimensions that are not cut may be merged where there are too many."""
    if not cuts:
        return view
    view, order = _sliceable(emission, view, cuts, step.name)
    sizes = tuple(fixed(cuts[axis][1]) if axis in cuts else size for axis, size in enumerate(view.sizes))
    made = emission.new(str(step.result(slot).value.name), sizes, order, view.tensor.quant)
    dims = [cuts.get(axis, (0, view.sizes[axis].one, 1)) for axis in order]
    open_dims = [view.sizes[axis].is_open for axis in order]
    if all(stride == 1 for _, _, stride in dims):
        lengths = [-1 if is_open else length for (_, length, _), is_open in zip(dims, open_dims, strict=True)]
        begin = emission.integers([start for start, _, _ in dims], "begin")
        operands: list[Tensor | None] = [view.tensor, begin, emission.integers(lengths, "lengths")]
        emission.add(step.name, "SLICE", operands, [made.tensor], schema.SliceOptionsT())
    else:
        _strided(emission, step, view, made, dims, open_dims)
    return made


def _sliceable(emission: Emission, view: View, cuts: Cut, source: str) -> tuple[View, tuple[int, ...]]:
    view, order = whole_order(emission, view, source)
    if len(order) > _MAX_RANK:
        raise UnsupportedOpError(f"node {source!r} slices {len(order)} axes, TensorFlow Lite has {_MAX_RANK}")
    return view, order


def _strided(
    emission: Emission, step: Step, view: View, made: View, dims: list[tuple[int, int, int]], open_dims: list[bool]
) -> None:
    """An end before the first element cannot be written as a number, so it is masked."""
    begin = [start for start, _, _ in dims]
    ends = [start + length * stride for start, length, stride in dims]
    strides = [stride for _, _, stride in dims]
    masked = [is_open or end < 0 for end, is_open in zip(ends, open_dims, strict=True)]
    mask = sum(1 << index for index, item in enumerate(masked) if item)
    operands: list[Tensor | None] = [
        view.tensor,
        emission.integers(begin, "begin"),
        emission.integers([0 if item else end for end, item in zip(ends, masked, strict=True)], "end"),
        emission.integers(strides, "strides"),
    ]
    options = schema.StridedSliceOptionsT(beginMask=0, endMask=mask)
    emission.add(step.name, "STRIDED_SLICE", operands, [made.tensor], options)
