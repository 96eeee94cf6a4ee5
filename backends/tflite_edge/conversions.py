"""The same numbers in another precision, within other limits or in another layout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.builder import GraphBuilder
from zsq_export.backends.tflite_edge.graph import Element, Tensor, constant, element_of
from zsq_export.backends.tflite_edge.movement import moved
from zsq_export.backends.tflite_edge.sizes import Size
from zsq_export.backends.tflite_edge.views import (
    NHWC,
    Axes,
    Axis,
    View,
    axes_sizes,
    flat,
    identity,
    ordered,
    storage_order,
)
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.limits import Interval
from zsq_export.quantization.qparams import QParams


@dataclass(kw_only=True, eq=False)
class Converter(GraphBuilder):
    """Converts views; what was dequantized or moved once is not again."""

    _dequantized: dict[Tensor, View] = field(default_factory=dict)
    _arranged: dict[tuple[Tensor, Axis, tuple[Size, ...]], Tensor] = field(default_factory=dict)

    def requantized(self, view: View, quant: QParams, source: str) -> View:
        """The same numbers under another scale, or integers from floats."""
        kind = element_of(quant)
        if kind is None or quant.axis is not None:
            raise UnsupportedOpError(
                f"tensor {view.tensor.name!r} is quantized to {quant.dtype.value}"
                f"{'' if quant.axis is None else ' per channel'}, which TensorFlow Lite does not have for activations",
                hint="int8 or int16, one scale per tensor",
            )
        tensor = Tensor(
            name=self.name(f"{view.tensor.name}_quantized"), sizes=view.tensor.sizes, element=kind, quant=quant
        )
        self.add(source, "QUANTIZE", [view.tensor], [tensor], schema.QuantizeOptionsT())
        return replace(view, tensor=tensor)

    def dequantized(self, view: View) -> View:
        """The same tensor as floats."""
        if view.tensor not in self._dequantized:
            tensor = Tensor(
                name=self.name(f"{view.tensor.name}_dequantized"), sizes=view.tensor.sizes, element=Element.FLOAT32
            )
            self.add("", "DEQUANTIZE", [view.tensor], [tensor], schema.DequantizeOptionsT())
            self._dequantized[view.tensor] = replace(view, tensor=tensor)
        return replace(view, tensor=self._dequantized[view.tensor].tensor)

    def limited(self, view: View, clip: Interval, source: str) -> View:
        """``min(max(x, low), high)``; on integers exactly what limiting before quantization gives."""
        for kind, limit in zip(("MAXIMUM", "MINIMUM"), clip, strict=True):
            if np.isfinite(limit):
                bound = self.scalar(limit, view.tensor.quant, f"{source}_{kind.lower()}")
                tensor = self.like(view.tensor, f"{view.tensor.name}_limited")
                self.add(source, kind, [view.tensor, bound], [tensor], schema.MaximumMinimumOptionsT())
                view = replace(view, tensor=tensor)
        return view

    def arrange(self, view: View, dims: Axes, source: str) -> View:
        """The same tensor with its atoms grouped and ordered like this; moves data only if it must."""
        if view.tensor.data is not None:
            return self._arranged_constant(view, dims)
        wanted = flat(dims)
        key = view.tensor, wanted, axes_sizes(dims)
        if key not in self._arranged:
            self._arranged[key] = moved(self, view, dims, source)
        return replace(view, tensor=self._arranged[key], dims=dims)

    def whole_order(self, view: View, source: str) -> tuple[View, tuple[int, ...]]:
        """The view with every axis a dimension of its own, in the order that it is stored in if that is possible."""
        order = storage_order(view)
        if order is None:
            rank = len(view.axes)
            order = NHWC if rank == len(NHWC) else identity(rank)
        return self.arrange(view, ordered(view.axes, order), source), order

    def _arranged_constant(self, view: View, dims: Axes) -> View:
        data = view.tensor.data
        assert data is not None
        current, wanted = flat(view.dims), flat(dims)
        order = [current.index(atom) for atom in wanted]
        in_order = data.reshape([atom.size.one for atom in current]).transpose(order)
        shaped = in_order.reshape([size.one for size in axes_sizes(dims)])
        name = view.tensor.name or self.name("constant")
        return replace(view, tensor=constant(name, shaped, view.tensor.element, view.tensor.quant), dims=dims)
