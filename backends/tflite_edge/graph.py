"""A TFLite model in memory, before it becomes bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.sizes import Size, fixed, product
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams


class Element(StrEnum):
    """Element type of a TFLite tensor, called as in the schema."""

    FLOAT32 = "FLOAT32"
    INT4 = "INT4"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    BOOL = "BOOL"


_OF_QUANTIZED = {
    QuantDtype.INT4: Element.INT4,
    QuantDtype.INT8: Element.INT8,
    QuantDtype.INT16: Element.INT16,
    QuantDtype.INT32: Element.INT32,
}


def element_of(quant: QParams | None) -> Element | None:
    """Float for None; None where TFLite has no such quantized type."""
    return Element.FLOAT32 if quant is None else _OF_QUANTIZED.get(quant.dtype)


@dataclass(kw_only=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
        name: unique in the file.
        sizes: shape, open where it grows with the batch.
        element: element type.
        quant: scale and zero point; axis counts TFLite dimensions.
        data: constants only.
    """

    name: str
    sizes: tuple[Size, ...]
    element: Element
    quant: QParams | None = None
    data: NDArray[Any] | None = None

    @property
    def elements(self) -> int:
        """Number of elements of one sample."""
        return product(self.sizes).one


@dataclass(kw_only=True, eq=False)
class Op:
    """One operator: its name in the schema, operands (None: an optional one left out) and the schema's options object.

    Attributes:
        kind: name in the enumeration BuiltinOperator.
        inputs, outputs: operands.
        options: an object of the schema's ``<kind>OptionsT`` class, or None.
        version: that the operand types need.
        source: name of the ONNX node.
    """

    kind: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Any = None
    version: int = 1
    source: str = ""


@dataclass(kw_only=True, eq=False)
class Port:
    """An input or output of the model: name in the ONNX model, tensor, and ONNX axis of each of its dimensions."""

    name: str
    tensor: Tensor
    order: tuple[int, ...]


@dataclass(kw_only=True, eq=False)
class Graph:
    """A model with one subgraph."""

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)

    def tensors(self) -> list[Tensor]:
        """Every tensor once: inputs first, then in the order of use."""
        used = [port.tensor for port in self.inputs]
        used += [tensor for op in self.ops for tensor in (*op.inputs, *op.outputs) if tensor is not None]
        used += [port.tensor for port in self.outputs]
        return list(dict.fromkeys(used))


def constant(name: str, array: NDArray[Any], element: Element, quant: QParams | None = None) -> Tensor:
    """A constant tensor."""
    return Tensor(
        name=name,
        sizes=tuple(fixed(side) for side in array.shape),
        element=element,
        quant=quant,
        data=np.ascontiguousarray(array).reshape(array.shape),
    )
