"""Normalizations that are computed at run time, in float, out of primitive ops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.ops.shape import as_shape
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import ONE, fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import float_attribute, int_attribute

_EPSILON = 1e-5
_SPATIAL_START = 2
FloatArray = NDArray[np.float32]


@handles("LayerNormalization", attributes=("axis", "epsilon", "stash_type"), data=(0, 1, 2), integer=False)
def layer_normalization(step: Step, emission: Emission) -> None:
    """Over all axes from ``axis`` on."""
    if any(result is not None for result in step.results[1:]):
        raise UnsupportedOpError(f"node {step.name!r} (LayerNormalization): only its first output is handled")
    view = emission.read(step)
    rank = len(view.axes)
    axes = tuple(range(int_attribute(step.node, "axis", -1) % rank, rank))
    found = _normalized(step, emission, view, axes)
    emission.give(step, _scaled(step, emission, found, rank))


@handles("InstanceNormalization", attributes=("epsilon",), data=(0, 1, 2), integer=False)
def instance_normalization(step: Step, emission: Emission) -> None:
    """Over the spatial axes."""
    view = emission.read(step)
    rank = len(view.axes)
    found = _normalized(step, emission, view, tuple(range(_SPATIAL_START, rank)))
    emission.give(step, _scaled(step, emission, found, rank - 1))


@handles("GroupNormalization", attributes=("epsilon", "num_groups", "stash_type"), data=(0, 1, 2), integer=False)
def group_normalization(step: Step, emission: Emission) -> None:
    """Over the spatial axes and the channels of one group; scale and bias per channel (operator set 21)."""
    view = emission.read(step)
    groups, (batch, channels, *spatial) = int_attribute(step.node, "num_groups", 0), view.sizes
    scale = step.operand(1).floats
    if scale is None or scale.size != channels.one:
        raise UnsupportedOpError(
            f"node {step.name!r} (GroupNormalization): its scale is not one constant per channel",
            hint="export with operator set 21 or later",
        )
    grouped = as_shape(emission, view, (batch, fixed(groups), fixed(channels.one // groups), *spatial), step.name)
    found = _normalized(step, emission, grouped, tuple(range(2, len(grouped.axes))))
    found = as_shape(emission, found, view.sizes, step.name)
    emission.give(step, _scaled(step, emission, found, len(view.axes) - 1))


@handles("BatchNormalization", attributes=("epsilon", "momentum", "training_mode"), data=(0, 1, 2, 3, 4), integer=False)
def batch_normalization(step: Step, emission: Emission) -> None:
    """One that could not be folded: multiply and add per channel."""
    if int_attribute(step.node, "training_mode", 0):
        raise UnsupportedOpError(f"node {step.name!r} (BatchNormalization): it is in training mode")
    gamma, beta, mean, variance = (_constant(step, slot).astype(np.float64) for slot in (1, 2, 3, 4))
    factor = gamma / np.sqrt(variance + float_attribute(step.node, "epsilon", _EPSILON))
    view, order = emission.whole_order(emission.read(step), step.name)
    shape = [-1 if axis == 1 else 1 for axis in order]
    for kind, array, options in (
        ("MUL", factor, schema.MulOptionsT()),
        ("ADD", beta - mean * factor, schema.AddOptionsT()),
    ):
        view = _binary(emission, step, kind, view, array.astype(np.float32).reshape(shape), options)
    emission.give(step, view)


@handles("LRN", attributes=("alpha", "beta", "bias", "size"), integer=False)
def local_response_normalization(step: Step, emission: Emission) -> None:
    """LOCAL_RESPONSE_NORMALIZATION, over channels stored last; ONNX divides alpha by the number of channels summed."""
    size = int_attribute(step.node, "size", 1)
    if size % 2 == 0:
        raise UnsupportedOpError(f"node {step.name!r} (LRN): target tflite does not handle the even size {size}")
    view = emission.picture(step)
    options = schema.LocalResponseNormalizationOptionsT(
        radius=size // 2,
        bias=float_attribute(step.node, "bias", 1.0),
        alpha=float_attribute(step.node, "alpha", 1e-4) / size,
        beta=float_attribute(step.node, "beta", 0.75),
    )
    made = emission.result(step, NHWC)
    emission.add(step.name, "LOCAL_RESPONSE_NORMALIZATION", [view.tensor], [made.tensor], options)
    emission.give(step, made)


def _normalized(step: Step, emission: Emission, view: View, axes: tuple[int, ...]) -> View:
    """``(x - mean) / sqrt(variance + epsilon)``."""
    view, order = emission.whole_order(view, step.name)
    dims = sorted(order.index(axis) for axis in axes)
    mean = _mean(emission, step, view.tensor, dims)
    centred = _new(emission, step, view.tensor.sizes)
    emission.add(step.name, "SUB", [view.tensor, mean], [centred], schema.SubOptionsT())
    squares = _new(emission, step, view.tensor.sizes)
    emission.add(step.name, "MUL", [centred, centred], [squares], schema.MulOptionsT())
    variance = _mean(emission, step, squares, dims)
    shifted, inverse = _new(emission, step, variance.sizes), _new(emission, step, variance.sizes)
    epsilon = emission.scalar(float_attribute(step.node, "epsilon", _EPSILON), None, f"{step.name}_epsilon")
    emission.add(step.name, "ADD", [variance, epsilon], [shifted], schema.AddOptionsT())
    emission.add(step.name, "RSQRT", [shifted], [inverse])
    made = _new(emission, step, view.tensor.sizes)
    emission.add(step.name, "MUL", [centred, inverse], [made], schema.MulOptionsT())
    return replace(view, tensor=made)


def _scaled(step: Step, emission: Emission, view: View, rank: int) -> View:
    """Times slot 1, plus slot 2, which broadcast against the last ``rank`` axes; a vector of channels comes first."""
    view, order = emission.whole_order(view, step.name)
    for slot, kind, options in ((1, "MUL", schema.MulOptionsT()), (2, "ADD", schema.AddOptionsT())):
        if slot < len(step.operands) and step.operands[slot] is not None:
            array = _constant(step, slot)
            array = array.reshape(*array.shape, *[1] * (rank - array.ndim)) if rank < len(order) else array
            full = array.reshape(*[1] * (len(order) - array.ndim), *array.shape).transpose(order)
            view = _binary(emission, step, kind, view, full, options)
    return view


def _constant(step: Step, slot: int) -> FloatArray:
    array = step.operand(slot).floats
    if array is None:
        raise UnsupportedOpError(f"node {step.name!r} ({step.node.op_type}): its parameters are computed at run time")
    return np.asarray(array, dtype=np.float32)


def _binary(emission: Emission, step: Step, kind: str, view: View, array: FloatArray, options: object) -> View:
    tensor = _new(emission, step, view.tensor.sizes)
    operand = emission.array(array, None, f"{step.name}_{kind.lower()}")
    emission.add(step.name, kind, [view.tensor, operand], [tensor], options)
    return replace(view, tensor=tensor)


def _mean(emission: Emission, step: Step, tensor: Tensor, dims: list[int]) -> Tensor:
    sizes = tuple(ONE if index in dims else size for index, size in enumerate(tensor.sizes))
    found = _new(emission, step, sizes)
    emission.add(
        step.name, "MEAN", [tensor, emission.integers(dims, "axes")], [found], schema.ReducerOptionsT(keepDims=True)
    )
    return found


def _new(emission: Emission, step: Step, sizes: tuple[object, ...]) -> Tensor:
    return Tensor(name=emission.name(f"{step.name}_normal"), sizes=sizes, element=Element.FLOAT32)  # type: ignore[arg-type]
