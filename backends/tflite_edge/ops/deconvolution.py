"""ConvTranspose: a convolution computes every phase of the output, DEPTH_TO_SPACE (16 bits: a transpose) places them.

TRANSPOSE_CONV wants the output shape with the batch in it, as a constant, so it cannot serve an open batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor, constant, element_of
from zsq_export.backends.tflite_edge.limits import limits_left
from zsq_export.backends.tflite_edge.ops.shape import as_shape
from zsq_export.backends.tflite_edge.ops.slicing import cut
from zsq_export.backends.tflite_edge.ops.weights import bias_tensor, check_weights, weight_name
from zsq_export.backends.tflite_edge.ops.windows import ATTRIBUTES, padded
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View, transposed
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import int_attribute, ints_attribute


@dataclass(frozen=True, kw_only=True)
class _Phases:
    """One spatial axis: output ``stride * q + phase`` reads input ``q - t`` with element ``stride * t + phase + pad``.

    Attributes:
        first, last: smallest and largest t that any phase needs.
        stride, pad, kernel, side, out: of the axis; the kernel with its dilation.
    """

    stride: int
    pad: int
    kernel: int
    side: int
    out: int

    @property
    def first(self) -> int:
        return -((self.stride - 1 + self.pad) // self.stride)

    @property
    def last(self) -> int:
        return (self.kernel - 1 - self.pad) // self.stride

    @property
    def taps(self) -> int:
        return self.last - self.first + 1

    @property
    def count(self) -> int:
        """How many q there are."""
        return -(-self.out // self.stride)

    @property
    def border(self) -> tuple[int, int]:
        """Zeros before and after the input; negative: what is not read there."""
        return self.last, self.count - 1 - self.first - (self.side - 1)

    def element(self, tap: int, phase: int) -> int | None:
        """Kernel element of the tap-th input that a window reads, or None."""
        index = self.stride * (self.last - tap) + phase + self.pad
        return index if 0 <= index < self.kernel else None


@handles(
    "ConvTranspose", attributes=(*ATTRIBUTES, "group", "output_padding", "output_shape"), data=(0, 1, 2), clips=True,
    weighted=True,
)  # fmt: skip
def transposed_convolution(step: Step, emission: Emission) -> None:
    """A convolution with stride 1 to stride² times the channels; its weights are the plan's integers, and zeros."""
    weight = step.operand(1)
    if weight.floats is None:
        raise UnsupportedOpError(f"node {step.name!r} (ConvTranspose): its weight is computed at run time")
    if weight.floats.ndim != len(NHWC):
        raise UnsupportedOpError(f"node {step.name!r} (ConvTranspose): target tflite handles two spatial axes")
    check_weights(step)
    groups = int_attribute(step.node, "group", 1)
    quant = weight.quant
    refuse_integers(
        step.integer and quant is not None and quant.axis is not None and (quant.axis != 1 or groups > 1),
        "its groups share scales",
    )
    source = emission.axes(step, 0, NHWC)
    height, width = _phases(step, emission, source)
    kernel = _dense(weight.integers if step.integer else weight.floats, groups)  # type: ignore[arg-type]
    kernel = _dilated(kernel, ints_attribute(step.node, "dilations", (1, 1)))
    tensor = _bordered(emission, step, source, height, width)
    view = _convolved(step, emission, tensor, kernel, height, width)
    emission.give(step, view)


def _phases(step: Step, emission: Emission, source: View) -> tuple[_Phases, _Phases]:
    node = step.node
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
        raise UnsupportedOpError(
            f"node {step.name!r} (ConvTranspose): target tflite does not handle auto_pad or output_shape",
            hint="export with explicit pads",
        )
    strides, pads = ints_attribute(node, "strides", (1, 1)), ints_attribute(node, "pads", (0, 0, 0, 0))
    dilations = ints_attribute(node, "dilations", (1, 1))
    weight, out = step.operand(1).floats, emission.sizes_of(node.outputs[0])
    assert weight is not None
    found = []
    for axis in range(2):
        kernel = (weight.shape[2 + axis] - 1) * dilations[axis] + 1
        side, sides = source.sizes[2 + axis].one, out[2 + axis].one
        phases = _Phases(stride=strides[axis], pad=pads[axis], kernel=kernel, side=side, out=sides)
        if phases.last < 0:
            raise UnsupportedOpError(f"node {step.name!r} (ConvTranspose): its padding is wider than its kernel")
        found.append(phases)
    if strides[0] != strides[1]:
        raise UnsupportedOpError(f"node {step.name!r} (ConvTranspose): target tflite handles equal strides only")
    return found[0], found[1]


def _dense(kernel: NDArray[Any], groups: int) -> NDArray[Any]:
    """[in, out, height, width] with zeros between the groups."""
    if groups == 1:
        return kernel
    inputs, outputs = kernel.shape[0], kernel.shape[1] * groups
    dense = np.zeros((inputs, outputs, *kernel.shape[2:]), dtype=kernel.dtype)
    for group in range(groups):
        rows = slice(group * inputs // groups, (group + 1) * inputs // groups)
        columns = slice(group * kernel.shape[1], (group + 1) * kernel.shape[1])
        dense[rows, columns] = kernel[rows]
    return dense


def _dilated(kernel: NDArray[Any], dilations: tuple[int, ...]) -> NDArray[Any]:
    sides = [(side - 1) * step + 1 for side, step in zip(kernel.shape[2:], dilations, strict=True)]
    full = np.zeros((*kernel.shape[:2], *sides), dtype=kernel.dtype)
    full[:, :, :: dilations[0], :: dilations[1]] = kernel
    return full


def _bordered(emission: Emission, step: Step, source: View, height: _Phases, width: _Phases) -> Tensor:
    """The input with zeros around it, or without the rows that no output reads."""
    borders = (height.border, width.border)
    cuts = {
        axis + 2: (0, source.sizes[axis + 2].one + after, 1) for axis, (_, after) in enumerate(borders) if after < 0
    }
    tensor = cut(emission, step, source, cuts).tensor if cuts else source.tensor
    begin = (borders[0][0], borders[1][0])
    end = (max(0, borders[0][1]), max(0, borders[1][1]))
    return padded(emission, tensor, begin, end, step.name) if any((*begin, *end)) else tensor


def _convolved(
    step: Step, emission: Emission, tensor: Tensor, kernel: NDArray[Any], height: _Phases, width: _Phases
) -> View:
    stride, channels = height.stride, kernel.shape[1]
    code, left = limits_left(step)
    weight = _phase_weight(step, emission, kernel, height, width)
    bias = _phase_bias(step, emission, channels, stride)
    options = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideH=1, strideW=1, fusedActivationFunction=code)
    batch = emission.sizes_of(step.node.outputs[0])[0]
    sizes = (batch, fixed(channels * stride**2), fixed(height.count), fixed(width.count))
    view = emission.result(step, NHWC, sizes=sizes)
    emission.add(step.name, "CONV_2D", [tensor, weight, bias], [view.tensor], options)
    if left is not None:
        view = emission.limited(view, left, step.name)
    return _in_place(step, emission, view, channels, (height, width))


def _in_place(step: Step, emission: Emission, view: View, channels: int, phases: tuple[_Phases, _Phases]) -> View:
    height, width = phases
    stride = height.stride
    if stride > 1:
        rows, columns, side = fixed(height.count), fixed(width.count), fixed(stride)
        parts = as_shape(emission, view, (view.sizes[0], side, side, fixed(channels), rows, columns), step.name)
        placed = (view.sizes[0], fixed(channels), rows * side, columns * side)
        view = as_shape(emission, transposed(parts, (0, 3, 4, 1, 5, 2)), placed, step.name)
    cuts = {2 + axis: (0, item.out, 1) for axis, item in enumerate(phases) if item.count * stride != item.out}
    return cut(emission, step, view, cuts)


def _phase_weight(step: Step, emission: Emission, kernel: NDArray[Any], height: _Phases, width: _Phases) -> Tensor:
    """[phases · channels, taps, taps, in], the phases of one output pixel before its channels."""
    inputs, channels, stride = kernel.shape[0], kernel.shape[1], height.stride
    array = np.zeros((stride, stride, channels, height.taps, width.taps, inputs), dtype=kernel.dtype)
    for row, column in np.ndindex(stride, stride):
        for y, x in np.ndindex(height.taps, width.taps):
            i, j = height.element(y, row), width.element(x, column)
            if i is not None and j is not None:
                array[row, column, :, y, x, :] = kernel[:, :, i, j].T
    array = array.reshape(stride**2 * channels, height.taps, width.taps, inputs)
    name = emission.name(weight_name(step))
    if not step.integer:
        return constant(name, array.astype(np.float32), Element.FLOAT32)
    quant = step.operand(1).quant
    assert quant is not None
    kind = element_of(quant)
    assert kind is not None
    if quant.axis is not None:
        quant = replace(quant, axis=0, scale=quant.scale * stride**2, zero_point=quant.zero_point * stride**2)
    return constant(name, array, kind, quant)


def _phase_bias(step: Step, emission: Emission, channels: int, stride: int) -> Tensor:
    bias = bias_tensor(step, emission, channels)
    assert bias.data is not None
    quant = bias.quant
    if quant is not None and quant.axis is not None:
        quant = replace(quant, scale=quant.scale * stride**2, zero_point=quant.zero_point * stride**2)
    return constant(bias.name, np.tile(bias.data, stride**2), bias.element, quant)
