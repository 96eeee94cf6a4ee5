"""What is emitted: ops and tensors, each under a name of its own, and the constants that they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.graph import Element, Graph, Op, Tensor, constant, element_of
from zsq_export.backends.tflite_edge.sizes import Size
from zsq_export.backends.tflite_edge.versions import version_of
from zsq_export.backends.tflite_edge.views import View, axes_sizes, new_axes, ordered
from zsq_export.errors import UnsupportedOpError
from zsq_export.quantization.linear import quantize
from zsq_export.quantization.qparams import QParams


@dataclass(kw_only=True, eq=False)
class GraphBuilder:
    """Appends to a graph.

    Attributes:
        graph: what has been emitted.
        current: name of the node that is being emitted, for messages.
    """

    graph: Graph = field(default_factory=Graph)
    current: str = ""
    _names: dict[str, int] = field(default_factory=dict)

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

    def like(self, tensor: Tensor, name: str, sizes: tuple[Size, ...] | None = None) -> Tensor:
        """A new tensor of the same type, and of the same shape if no other is given."""
        return Tensor(
            name=self.name(name),
            sizes=tensor.sizes if sizes is None else sizes,
            element=tensor.element,
            quant=tensor.quant,
        )

    def reshaped(self, tensor: Tensor, sizes: tuple[Size, ...], source: str) -> Tensor:
        """RESHAPE, unless it has this shape already."""
        if tensor.sizes == sizes:
            return tensor
        shape = np.array([-1 if size.is_open else size.one for size in sizes], dtype=np.int32)
        found = self.like(tensor, f"{tensor.name}_reshaped", sizes)
        operand = self.integers(shape, "shape")
        self.add(source, "RESHAPE", [tensor, operand], [found], schema.ReshapeOptionsT(newShape=shape))
        return found

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

    def _check_width(self, what: str, numbers: tuple[int, ...]) -> None:
        beyond = [number for number in numbers if not -(2**31) <= number < 2**31]
        if beyond:
            raise UnsupportedOpError(
                f"node {self.current!r}: its {what} has {beyond[0]}, TensorFlow Lite has 32 bits for it",
                hint="make the tensor smaller",
            )
