"""What the QDQ graph says of an operand: float, or integers with scale and zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_value, int_attribute, is_op, rank_of
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.linear import container, dequantize
from zsq_export.quantization.qparams import QParams

_DEFAULT_AXIS = 1
_DTYPES = {ir.DataType[dtype.name]: dtype for dtype in QuantDtype}


@dataclass(frozen=True, kw_only=True, eq=False)
class Operand:
    """One input of a node, seen through DequantizeLinear.

    Attributes:
        value: a computed tensor: the float one, or the integers that QuantizeLinear makes; None for constants.
        quant: of the integers; None for float.
        integers: of a quantized constant.
        floats: of a constant (dequantized if it is quantized); None for computed tensors.
    """

    value: ir.Value | None
    quant: QParams | None = None
    integers: NDArray[Any] | None = None
    floats: NDArray[Any] | None = None

    @property
    def is_constant(self) -> bool:
        """Whether it is known before the model runs."""
        return self.floats is not None


def operand(value: ir.Value) -> Operand:
    """What stands behind an input of a node."""
    producer = value.producer()
    if producer is not None and is_op(producer, "DequantizeLinear"):
        return _dequantized(producer)
    array = constant_value(value)
    return Operand(value=value) if array is None else Operand(value=None, floats=array)


def qparams_of(node: ir.Node) -> QParams:
    """Scale, zero point, type and axis of a QuantizeLinear or DequantizeLinear node.

    Raises:
        UnsupportedOpError: they are computed, blocked, or of a type that is no integer.
    """
    scale = constant_value(node.inputs[1])
    point = constant_value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    integer = node.outputs[0] if is_op(node, "QuantizeLinear") else node.inputs[0]
    dtype = _DTYPES.get(integer.dtype) if integer is not None and integer.dtype is not None else None
    blocked = int_attribute(node, "block_size", 0)
    if (
        scale is None
        or dtype is None
        or blocked
        or (len(node.inputs) > 2 and node.inputs[2] is not None and point is None)
    ):
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op_type}): its scale, zero point or type is not one that TensorFlow Lite has",
            hint="quantize with constant scales to int8 or int16",
        )
    points = np.zeros(scale.shape, dtype=np.int64) if point is None else np.asarray(point).astype(np.int64)
    axis = None if scale.size == 1 and scale.ndim == 0 else _axis(node, scale)
    return QParams(
        scale=tuple(float(item) for item in np.atleast_1d(scale)),
        zero_point=tuple(int(item) for item in np.atleast_1d(points)),
        dtype=dtype,
        axis=axis,
    )


def _axis(node: ir.Node, scale: NDArray[Any]) -> int | None:
    """A vector of one scale is one scale per tensor."""
    if scale.size == 1:
        return None
    axis = int_attribute(node, "axis", _DEFAULT_AXIS)
    rank = rank_of(node.inputs[0])
    return axis % rank if rank else axis


def _dequantized(node: ir.Node) -> Operand:
    source = node.inputs[0]
    assert source is not None
    quant = qparams_of(node)
    integers = constant_value(source)
    if integers is not None:
        integers = np.asarray(integers).astype(container(quant.dtype))
        return Operand(value=None, quant=quant, integers=integers, floats=dequantize(integers, quant))
    if not is_op(source.producer(), "QuantizeLinear"):
        raise UnsupportedOpError(
            f"node {node.name!r} dequantizes {source.name!r}, which no QuantizeLinear made",
            hint="give the float model",
        )
    return Operand(value=source, quant=quant)
