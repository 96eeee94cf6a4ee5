"""Kernels that slide: their attributes read once, and their padding in TensorFlow's terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor, element_of
from zsq_export.backends.tflite_edge.registry import refuse_integers
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import int_attribute, ints_attribute, is_op

ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")
_SPATIAL = 2

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A two-dimensional window, (height, width) each; that of a row has height 1.

    Attributes:
        kernel, strides, dilations: as in ONNX.
        begin, end: padding before and after, ``auto_pad`` worked out.
        size, out: input and output sides.
    """

    kernel: Pair
    strides: Pair
    dilations: Pair
    begin: Pair
    end: Pair
    size: Pair
    out: Pair

    @property
    def is_padded(self) -> bool:
        """Whether anything is added around the input."""
        return any(self.begin) or any(self.end)

    @property
    def same(self) -> bool:
        """Whether TensorFlow's SAME pads exactly like this: output ceil(size / stride), the odd one at the end."""
        for axis in range(_SPATIAL):
            out = -(-self.size[axis] // self.strides[axis])
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            total = max(0, (out - 1) * self.strides[axis] + reach - self.size[axis])
            if out != self.out[axis] or (self.begin[axis], self.end[axis]) != (total // 2, total - total // 2):
                return False
        return True

    @property
    def valid(self) -> bool:
        """Whether TensorFlow's VALID gives this output: no padding, and no partial window at the end."""
        return not self.is_padded and self.out == tuple(
            (self.size[axis] - (self.kernel[axis] - 1) * self.dilations[axis] - 1) // self.strides[axis] + 1
            for axis in range(_SPATIAL)
        )

    @property
    def is_one(self) -> bool:
        """One window, without padding."""
        return not self.is_padded and self.out == (1, 1)


def window_of(node: ir.Node, kernel: tuple[int, ...], size: tuple[int, ...], out: tuple[int, ...]) -> Window:
    """Reads the attributes.

    Args:
        node: Conv or a pooling op.
        kernel: sides of the kernel.
        size, out: spatial sides of input and output.

    Raises:
        UnsupportedOpError: not one or two spatial axes, negative padding, or an unknown ``auto_pad``.
    """
    if len(kernel) == 1:
        kernel, size, out = (1, *kernel), (1, *size[-1:]), (1, *out[-1:])
    if len(kernel) != _SPATIAL:
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op_type}) has {len(kernel)} spatial axes, target tflite handles one or two",
            hint="export the model for pictures, or with an axis of length 1",
        )
    strides = _pair(ints_attribute(node, "strides", (1, 1)))
    dilations = _pair(ints_attribute(node, "dilations", (1, 1)))
    begin, end = _padding(node, kernel, strides, dilations, size)
    if min(*begin, *end) < 0:
        raise UnsupportedOpError(f"node {node.name!r} ({node.op_type}) has negative padding")
    # What a window beyond the last whole one (ceil_mode) needs, TensorFlow has to be given as padding.
    return Window(
        kernel=(kernel[0], kernel[1]),
        strides=strides,
        dilations=dilations,
        begin=begin,
        end=end,
        size=(size[0], size[1]),
        out=(out[0], out[1]),
    )


def _pair(values: tuple[int, ...]) -> Pair:
    """(height, width); one value is that of the width, of a picture of one row."""
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])


def _padding(
    node: ir.Node, kernel: tuple[int, ...], strides: Pair, dilations: Pair, size: tuple[int, ...]
) -> tuple[Pair, Pair]:
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode in ("NOTSET", "VALID"):
        pads = ints_attribute(node, "pads", (0, 0, 0, 0)) if mode == "NOTSET" else (0, 0, 0, 0)
        if len(pads) == _SPATIAL:
            pads = (0, pads[0], 0, pads[1])
        return (pads[0], pads[1]), (pads[2], pads[3])
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op_type}): target tflite does not handle auto_pad={mode!r}"
        )
    totals = []
    for axis in range(_SPATIAL):
        out = -(-size[axis] // strides[axis])
        totals.append(max(0, (out - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - size[axis]))
    small = (totals[0] // 2, totals[1] // 2)
    large = (totals[0] - small[0], totals[1] - small[1])
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def has_ceil_mode(node: ir.Node) -> bool:
    """Whether partial windows at the end count."""
    return bool(int_attribute(node, "ceil_mode", 0)) and is_op(node, "MaxPool", "AveragePool")


def padding_code(window: Window, emission: Emission, tensor: Tensor, source: str) -> tuple[Tensor, int]:
    """The tensor and the padding mode that give the window; explicit zeros (the zero point) where no mode fits."""
    if window.valid:
        return tensor, int(schema.Padding.VALID)
    if window.same:
        return tensor, int(schema.Padding.SAME)
    return padded(emission, tensor, window.begin, window.end, source), int(schema.Padding.VALID)


def padded(
    emission: Emission, tensor: Tensor, begin: Pair, end: Pair, source: str, fill: float | None = None
) -> Tensor:
    """An NHWC tensor with a border of zeros (None) or of another number, in the form that a convolution absorbs.

    PAD itself writes the zero point, so that the border is zero; PADV2 writes an integer of the tensor's own scale.
    """
    return _bordered(emission, tensor, ((0, 0), (begin[0], end[0]), (begin[1], end[1]), (0, 0)), source, fill)


def padded_by_rows(
    emission: Emission, tensor: Tensor, begin: Pair, end: Pair, source: str, fill: float | None = None
) -> Tensor:
    """The same for ops that absorb no padding: the kernel copies row by row, not pixel by pixel (5 times as fast)."""
    batch, height, width, channels = tensor.sizes
    rows = emission.reshaped(tensor, (batch, height, width * channels), source)
    border = (0, 0), (begin[0], end[0]), (begin[1] * channels.one, end[1] * channels.one)
    found = _bordered(emission, rows, border, source, fill)
    sides = fixed(height.one + begin[0] + end[0]), fixed(width.one + begin[1] + end[1])
    return emission.reshaped(found, (batch, *sides, channels), source)


def _bordered(emission: Emission, tensor: Tensor, border: tuple[Pair, ...], source: str, fill: float | None) -> Tensor:
    sizes = tuple(
        size if not any(ends) else fixed(size.one + sum(ends)) for size, ends in zip(tensor.sizes, border, strict=True)
    )
    found = emission.like(tensor, f"{tensor.name}_padded", sizes)
    operand = emission.integers(np.array(border, dtype=np.int32), "border")
    if fill is None:
        emission.add(source, "PAD", [tensor, operand], [found], schema.PadOptionsT())
    else:
        value = lowest(emission, tensor, source) if fill == -np.inf else emission.scalar(fill, tensor.quant, "fill")
        emission.add(source, "PADV2", [tensor, operand, value], [found], schema.PadV2OptionsT())
    return found


def lowest(emission: Emission, tensor: Tensor, source: str) -> Tensor:
    """The smallest number of the tensor's type as a constant."""
    if tensor.quant is None:
        return emission.scalar(float(np.finfo(np.float32).min), None, f"{source}_lowest")
    refuse_integers(tensor.element not in (Element.INT8, Element.INT16), "no such integer type")
    least = tensor.quant.scale[0] * (tensor.quant.limits[0] - tensor.quant.zero_point[0])
    assert element_of(tensor.quant) is not None
    return emission.scalar(least, tensor.quant, f"{source}_lowest")
