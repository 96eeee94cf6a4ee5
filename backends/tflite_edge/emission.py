"""The state of one lowering: tensors that exist so far, in which layout and precision, and the ops that made them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.graph import Element, Graph, Op, Tensor, constant, element_of
from zsq_export.backends.tflite_edge.movement import moved
from zsq_export.backends.tflite_edge.qdq import Operand, operand, qparams_of
from zsq_export.backends.tflite_edge.shapes import Sizes
from zsq_export.backends.tflite_edge.sizes import ONE, Size, product
from zsq_export.backends.tflite_edge.steps import Interval, Step
from zsq_export.backends.tflite_edge.versions import version_of
from zsq_export.backends.tflite_edge.views import (
    Axes,
    Axis,
    View,
    axes_sizes,
    flat,
    new_axes,
    ordered,
)
from zsq_export.errors import UnsupportedOpError
from zsq_export.quantization.linear import quantize
from zsq_export.quantization.qparams import QParams


@dataclass(kw_only=True, eq=False)
class Emission:
    """What handlers work with. Views that are given out must not be changed.

    Attributes:
        sizes: of every ONNX tensor.
        graph: what has been emitted.
        islands: (node, reason) of every step that was to run in integers and runs in float.
        current: name of the node that is being emitted, for messages.
    """

    sizes: Sizes
    graph: Graph = field(default_factory=Graph)
    islands: list[tuple[ir.Node, str]] = field(default_factory=list)
    current: str = ""
    _carrier: View | None = None
    _floats: dict[ir.Value, View] = field(default_factory=dict)
    _integers: dict[ir.Value, View] = field(default_factory=dict)
    _dequantized: dict[Tensor, View] = field(default_factory=dict)
    _arranged: dict[tuple[Tensor, Axis, tuple[Size, ...]], Tensor] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)

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
        return self.new(str(result.value.name), sizes or self.sizes_of(result.value), order, chosen)

    def new(
        self, name: str, sizes: tuple[Size, ...], order: tuple[int, ...], quant: QParams | None, element: Any = None
    ) -> View:
        """A new tensor with axes of its own."""
        axes = new_axes(sizes)
        dims = ordered(axes, order)
        self._check_width("shape", tuple(size.one for size in sizes))
        kind = element or element_of(quant)
        assert kind is not None
        tensor = Tensor(name=self.name(name), sizes=axes_sizes(dims), element=kind, quant=quant)
        return View(tensor=tensor, axes=axes, dims=dims)

    def add(
        self, source: str, kind: str, inputs: list[Tensor | None], outputs: list[Tensor], options: Any = None
    ) -> None:
        """Appends an op."""
        operands, results = tuple(inputs), tuple(outputs)
        self.graph.ops.append(
            Op(
                kind=kind,
                inputs=operands,
                outputs=results,
                options=options,
                version=version_of(kind, operands, results),
                source=source,
            )
        )

    def give(self, step: Step, view: View, slot: int = 0, *, clip: Interval | None = None) -> None:
        """Declares a result; limits and requantizes it where that is still to be done."""
        result = step.result(slot)
        if clip is not None:
            view = self.limited(view, clip, step.name)
        if not step.integer:
            self._floats[result.value] = view
            return
        assert result.quantized is not None and result.quant is not None
        if view.tensor.quant != result.quant:
            view = self.requantized(view, result.quant, step.name)
        self._integers[result.quantized] = view

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

    # Conversions

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

    def limited(self, view: View, clip: Interval, source: str) -> View:
        """``min(max(x, low), high)``; on integers exactly what limiting before quantization gives."""
        for kind, limit in zip(("MAXIMUM", "MINIMUM"), clip, strict=True):
            if np.isfinite(limit):
                bound = self.scalar(limit, view.tensor.quant, f"{source}_{kind.lower()}")
                tensor = Tensor(
                    name=self.name(f"{view.tensor.name}_limited"),
                    sizes=view.tensor.sizes,
                    element=view.tensor.element,
                    quant=view.tensor.quant,
                )
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

    def reshaped(self, tensor: Tensor, sizes: tuple[Size, ...], source: str) -> Tensor:
        """RESHAPE, unless it has this shape already."""
        if tensor.sizes == sizes:
            return tensor
        shape = np.array([-1 if size.is_open else size.one for size in sizes], dtype=np.int32)
        found = Tensor(
            name=self.name(f"{tensor.name}_reshaped"), sizes=sizes, element=tensor.element, quant=tensor.quant
        )
        operand = self.integers(shape, "shape")
        self.add(source, "RESHAPE", [tensor, operand], [found], schema.ReshapeOptionsT(newShape=shape))
        return found

    # Constants

    def integers(self, values: NDArray[Any] | list[int] | int, name: str) -> Tensor:
        """An int32 constant: axes, shapes, paddings.

        Raises:
            UnsupportedOpError: one of them needs 64 bits.
        """
        wide = np.asarray(values, dtype=np.int64)
        self._check_width(name, tuple(wide.reshape(-1).tolist()))
        return constant(self.name(name), wide.astype(np.int32), Element.INT32)

    def scalar(self, value: float, quant: QParams | None, name: str) -> Tensor:
        """One number in the type of a tensor."""
        return self.array(np.array(value, dtype=np.float32), quant, name)

    def array(self, values: NDArray[Any], quant: QParams | None, name: str) -> Tensor:
        """Numbers in the type of a tensor."""
        kind = element_of(quant)
        assert kind is not None
        stored = np.asarray(values, dtype=np.float32) if quant is None else quantize(np.asarray(values), quant)
        return constant(self.name(name), stored, kind, quant)

    def name(self, wanted: str) -> str:
        """A name that no tensor has yet."""
        count = self._names.get(wanted, 0)
        self._names[wanted] = count + 1
        return wanted if not count else self.name(f"{wanted}_{count}")

    # Inside

    def _check_width(self, what: str, numbers: tuple[int, ...]) -> None:
        beyond = [number for number in numbers if not -(2**31) <= number < 2**31]
        if beyond:
            raise UnsupportedOpError(
                f"node {self.current!r}: its {what} has {beyond[0]}, TensorFlow Lite has 32 bits for it",
                hint="make the tensor smaller",
            )

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

    def _arranged_constant(self, view: View, dims: Axes) -> View:
        data = view.tensor.data
        assert data is not None
        current, wanted = flat(view.dims), flat(dims)
        moved = data.reshape([atom.size.one for atom in current]).transpose([current.index(atom) for atom in wanted])
        shaped = moved.reshape([size.one for size in axes_sizes(dims)])
        name = view.tensor.name or self.name("constant")
        return replace(view, tensor=constant(name, shaped, view.tensor.element, view.tensor.quant), dims=dims)

    def _integer_view(self, quantized: ir.Value) -> View:
        if quantized not in self._integers:
            node = quantized.producer()
            assert node is not None and node.inputs[0] is not None
            source, quant = operand(node.inputs[0]), qparams_of(node)
            view = self.view(source, integer=source.quant is not None)
            if view.tensor.data is not None:
                view = self._arranged_constant(view, view.dims)
            self._integers[quantized] = self.requantized(view, quant, str(node.name))
        return self._integers[quantized]

    def dequantized(self, view: View) -> View:
        """The same tensor as floats."""
        if view.tensor not in self._dequantized:
            tensor = Tensor(
                name=self.name(f"{view.tensor.name}_dequantized"), sizes=view.tensor.sizes, element=Element.FLOAT32
            )
            self.add("", "DEQUANTIZE", [view.tensor], [tensor], schema.DequantizeOptionsT())
            self._dequantized[view.tensor] = replace(view, tensor=tensor)
        return replace(view, tensor=self._dequantized[view.tensor].tensor)
