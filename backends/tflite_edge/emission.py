"""The state of one lowering: where each ONNX tensor is, in which layout and precision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.conversions import Converter
from zsq_export.backends.tflite_edge.graph import Element, Tensor, constant, element_of
from zsq_export.backends.tflite_edge.qdq import Operand, operand, qparams_of
from zsq_export.backends.tflite_edge.shapes import Sizes
from zsq_export.backends.tflite_edge.sizes import ONE, Size, product
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import NHWC, View, new_axes, ordered
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.limits import Interval
from zsq_export.quantization.qparams import QParams

_ROW_RANK = 3
"""Batch, channels and one spatial axis: kept as a picture of one row where an op has two spatial axes only."""


@dataclass(kw_only=True, eq=False)
class Emission(Converter):
    """What handlers work with. Views that are given out must not be changed.

    Attributes:
        sizes: of every ONNX tensor.
        islands: (node, reason) of every step that was to run in integers and runs in float.
    """

    sizes: Sizes
    islands: list[tuple[ir.Node, str]] = field(default_factory=list)
    _carrier: View | None = None
    _floats: dict[ir.Value, View] = field(default_factory=dict)
    _integers: dict[ir.Value, View] = field(default_factory=dict)

    # Operands

    def read(self, step: Step, slot: int = 0) -> View:
        """An operand in the precision of the step, in whatever layout it has."""
        return self.view(step.operand(slot), integer=step.integer)

    def view(self, source: Operand, *, integer: bool) -> View:
        """An operand as integers or as floats."""
        if source.floats is not None:
            return self._constant_view(source, integer=integer)
        assert source.value is not None
        if source.quant is None:
            return self._floats[source.value]
        view = self._integer_view(source.value)
        return view if integer else self.dequantized(view)

    def picture(self, step: Step) -> View:
        """The first operand stored as batch, height, width, channels; one spatial axis becomes a height of 1."""
        view = self.read(step)
        if len(view.axes) == _ROW_RANK:
            view = replace(view, axes=(*view.axes[:2], (), view.axes[2]))
        return self.arrange(view, ordered(view.axes, NHWC), step.name)

    def axes(self, step: Step, slot: int, order: tuple[int, ...]) -> View:
        """An operand whose axes are stored in this order, each a dimension of its own."""
        view = self.read(step, slot)
        return self.arrange(view, ordered(view.axes, order), step.name)

    def sizes_of(self, value: ir.Value) -> tuple[Size, ...]:
        """Shape of an ONNX tensor.

        Raises:
            UnsupportedOpError: it depends on the data.
        """
        found = self.sizes.get(value.name or "")
        if found is None or any(size.one == 0 for size in found):
            shape = None if found is None else [size.one for size in found]
            raise UnsupportedOpError(
                f"tensor {value.name!r} has shape {shape}, target tflite needs it known and not empty",
                hint="export the model with fixed shapes",
            )
        return found

    # Results

    def result(
        self,
        step: Step,
        order: tuple[int, ...],
        slot: int = 0,
        *,
        quant: QParams | None = None,
        sizes: tuple[Size, ...] | None = None,
    ) -> View:
        """A new tensor for a result, stored in this order of its ONNX axes.

        Args:
            step: its precision decides the type.
            order: ONNX axis of each dimension.
            slot: of the result.
            quant: another scale than the planned one; ``give`` will requantize.
            sizes: another ONNX shape than that of the result.
        """
        result = step.result(slot)
        chosen = (quant or result.quant) if step.integer else None
        found = sizes or self.sizes_of(result.value)
        if len(found) == _ROW_RANK and len(order) == len(NHWC):
            found = (*found[:2], ONE, found[2])
        return self.new(str(result.value.name), found, order, chosen)

    def give(self, step: Step, view: View, slot: int = 0, *, clip: Interval | None = None) -> None:
        """Declares a result; limits and requantizes it where that is still to be done."""
        result = step.result(slot)
        if len(view.axes) == len(NHWC) and len(self.sizes.get(result.value.name or "", ())) == _ROW_RANK:
            view = replace(view, axes=(*view.axes[:2], view.axes[3]))
        if clip is not None:
            view = self.limited(view, clip, step.name)
        if not step.integer:
            self._floats[result.value] = view
            return
        assert result.quantized is not None and result.quant is not None
        if view.tensor.quant != result.quant:
            view = self.requantized(view, result.quant, step.name)
        self._integers[result.quantized] = view

    # Graph inputs

    def provide(self, value: ir.Value, view: View) -> None:
        """Declares a float graph input."""
        self._floats[value] = view
        self._carrier = self._carrier or view

    def provide_integers(self, quantized: ir.Value, view: View) -> None:
        """Declares an integer graph input: what a QuantizeLinear would have made."""
        self._integers[quantized] = view
        self._carrier = self._carrier or view

    def batch_carrier(self, rank: int, position: int) -> Tensor:
        """One float of every sample of the first input, as a tensor of this rank with the batch at this position."""
        assert self._carrier is not None
        view = self._carrier if self._carrier.tensor.quant is None else self.dequantized(self._carrier)
        sizes = tuple(size if size.is_open else ONE for size in view.tensor.sizes)
        ends = [0 if size.is_open else 1 for size in sizes]
        first = Tensor(name=self.name("batch"), sizes=sizes, element=Element.FLOAT32)
        operands: list[Tensor | None] = [view.tensor, self.integers([0] * len(sizes), "begin")]
        operands += [self.integers(ends, "end"), self.integers([1] * len(sizes), "strides")]
        open_mask = sum(1 << index for index, size in enumerate(sizes) if size.is_open)
        options = schema.StridedSliceOptionsT(beginMask=open_mask, endMask=open_mask)
        self.add("batch", "STRIDED_SLICE", operands, [first], options)
        batch = product(sizes)
        wanted = tuple(batch if index == position else ONE for index in range(rank))
        return self.reshaped(first, wanted, "batch")

    # Inside

    def _constant_view(self, source: Operand, *, integer: bool) -> View:
        assert source.floats is not None
        axes = new_axes(tuple(Size(side, side) for side in source.floats.shape))
        if integer:
            assert source.quant is not None and source.integers is not None
            kind = element_of(source.quant)
            assert kind is not None
            tensor = constant("", source.integers, kind, source.quant)
        else:
            tensor = constant("", source.floats.astype(np.float32), Element.FLOAT32)
        return View(tensor=tensor, axes=axes, dims=axes)

    def _integer_view(self, quantized: ir.Value) -> View:
        if quantized not in self._integers:
            node = quantized.producer()
            assert node is not None and node.inputs[0] is not None
            source, quant = operand(node.inputs[0]), qparams_of(node)
            view = self.view(source, integer=source.quant is not None)
            if view.tensor.data is not None:
                view = self.arrange(view, view.dims, str(node.name))
            self._integers[quantized] = self.requantized(view, quant, str(node.name))
        return self._integers[quantized]
