"""Resize and Upsample to constant sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.ops.slicing import picked
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute

_ATTRIBUTES = (
    "mode", "coordinate_transformation_mode", "nearest_mode", "antialias", "axes", "cubic_coeff_a", "exclude_outside",
    "extrapolation_value", "keep_aspect_ratio_policy",
)  # fmt: skip
_SCALES = 2
_HALF, _PYTORCH_HALF = "half_pixel", "pytorch_half_pixel"
_CORNERS, _ASYMMETRIC = "align_corners", "asymmetric"
_ROUNDINGS: Mapping[str, Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


@handles("Resize", attributes=_ATTRIBUTES)
def resize(step: Step, emission: Emission) -> None:
    """Nearest: copies by whole factors, or the elements picked by number. Linear: RESIZE_BILINEAR."""
    node = step.node
    mode = node.attributes.get_string("mode", "nearest")
    sizes = emission.sizes_of(node.outputs[0])
    view = emission.axes(step, 0, NHWC) if len(sizes) == len(NHWC) else emission.read(step)
    if len(sizes) != len(NHWC) or sizes[:2] != view.sizes[:2] or int_attribute(node, "antialias", 0):
        raise UnsupportedOpError(
            f"node {step.name!r} (Resize): target tflite resizes the two spatial axes of pictures, without antialiasing"
        )
    _check_scales(node, view, tuple(size.one for size in sizes))
    if mode == "nearest":
        emission.give(step, _nearest(step, emission, view, (sizes[2].one, sizes[3].one)))
    elif mode == "linear":
        _linear(step, emission, view, (sizes[2].one, sizes[3].one))
    else:
        raise UnsupportedOpError(
            f"node {step.name!r} (Resize): target tflite does not handle mode={mode!r}", hint="use nearest or linear"
        )


def _check_scales(node: ir.Node, view: View, sizes: tuple[int, ...]) -> None:
    """Scales that are not the ratio of the sizes shift the samples; TensorFlow knows sizes only."""
    scales = constant_value(node.inputs[_SCALES]) if len(node.inputs) > _SCALES and node.inputs[_SCALES] else None
    if scales is None or not scales.size:
        return
    ratios = np.array([size / side.one for size, side in zip(sizes, view.sizes, strict=True)])
    given = np.ones(len(sizes))
    axes = node.attributes.get_ints("axes", range(len(sizes)))
    given[list(axes)] = scales
    if not np.allclose(given[1:], ratios[1:], rtol=1e-6):
        raise UnsupportedOpError(
            f"node {node.name!r} (Resize): its scales {scales.tolist()} do not give whole sizes",
            hint="export with sizes instead of scales",
        )


def _nearest(step: Step, emission: Emission, view: View, out: tuple[int, int]) -> View:
    found = view
    for axis in (2, 3):
        side = view.sizes[axis].one
        indices = _source_indices(step, side, out[axis - 2])
        factor = out[axis - 2] // side
        if np.array_equal(indices, np.repeat(np.arange(side), factor)) and factor * side == out[axis - 2]:
            found = found if factor == 1 else _repeated(emission, step, found, axis, factor)
        else:
            found = picked(emission, step, found, axis, indices)
    return found


def _source_indices(step: Step, side: int, out: int) -> NDArray[np.int64]:
    """The element that every output element copies, along one axis. Source: ONNX Resize-19."""
    node = step.node
    mode = node.attributes.get_string("coordinate_transformation_mode", _HALF)
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    x = np.arange(out, dtype=np.float32)
    ratio = np.float32(side) / np.float32(out)
    if mode in (_HALF, _PYTORCH_HALF):
        place = (x + np.float32(0.5)) * ratio - np.float32(0.5) if mode == _HALF or out > 1 else np.zeros(1)
    elif mode == _ASYMMETRIC:
        place = x * ratio
    elif mode == _CORNERS:
        place = x * np.float32((side - 1) / (out - 1)) if out > 1 else np.zeros(1)
    else:
        raise UnsupportedOpError(
            f"node {step.name!r} (Resize): target tflite does not handle coordinate_transformation_mode={mode!r}"
        )
    if rounding not in _ROUNDINGS:
        raise UnsupportedOpError(f"node {step.name!r} (Resize): nearest_mode={rounding!r} is not handled")
    return np.asarray(np.clip(_ROUNDINGS[rounding](place), 0, side - 1), dtype=np.int64)


def _repeated(emission: Emission, step: Step, view: View, axis: int, factor: int) -> View:
    """Every element ``factor`` times along an axis: what follows the axis in storage is joined to itself.

    RESIZE_NEAREST_NEIGHBOR has no integer kernel in the delegate, CONCATENATION has.
    """
    position = NHWC.index(axis)
    sizes = [view.sizes[index] for index in NHWC]
    inner = fixed(int(np.prod([size.one for size in sizes[position + 1 :]])))
    flat = emission.reshaped(view.tensor, (*sizes[: position + 1], inner), step.name)
    joined = emission.like(flat, f"{step.name}_joined", (*sizes[: position + 1], fixed(inner.one * factor)))
    options = schema.ConcatenationOptionsT(axis=position + 1)
    emission.add(step.name, "CONCATENATION", [flat] * factor, [joined], options)
    sides = tuple(fixed(size.one * factor) if index == axis else size for index, size in enumerate(view.sizes))
    shape = emission.new("", sides, NHWC, view.tensor.quant)
    tensor = emission.reshaped(joined, shape.tensor.sizes, step.name)
    return replace(shape, tensor=tensor)


def _linear(step: Step, emission: Emission, view: View, out: tuple[int, int]) -> None:
    mode = step.node.attributes.get_string("coordinate_transformation_mode", _HALF)
    if mode not in (_HALF, _PYTORCH_HALF, _CORNERS, _ASYMMETRIC) or (mode == _PYTORCH_HALF and 1 in out):
        raise UnsupportedOpError(
            f"node {step.name!r} (Resize): target tflite does not handle coordinate_transformation_mode={mode!r} here"
        )
    if mode == _CORNERS and 1 in out:
        raise UnsupportedOpError(f"node {step.name!r} (Resize): align_corners to a side of 1 is not handled")
    options = schema.ResizeBilinearOptionsT(
        alignCorners=mode == _CORNERS, halfPixelCenters=mode in (_HALF, _PYTORCH_HALF)
    )
    made = emission.result(step, NHWC, quant=view.tensor.quant)
    operands: list[Tensor | None] = [view.tensor, emission.integers(list(out), "size")]
    emission.add(step.name, "RESIZE_BILINEAR", operands, [made.tensor], options)
    emission.give(step, made)
