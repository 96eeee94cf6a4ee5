"""Moving data: the op, if one is needed, that brings a tensor's axes into another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.sizes import product
from zsq_export.backends.tflite_edge.views import (
    Axes,
    Axis,
    View,
    axes_sizes,
    flat,
    identity,
    ordered,
    runs,
    storage_order,
)
from zsq_export.errors import UnsupportedOpError

if TYPE_CHECKING:
    from zsq_export.backends.tflite_edge.emission import Emission

MAX_RANK = 6
"""Of TRANSPOSE and of tensors in general in the delegate."""


def moved(emission: Emission, view: View, dims: Axes, source: str) -> Tensor:
    """The tensor of a view with its atoms grouped and ordered like this, by the cheapest op that does it.

    Raises:
        UnsupportedOpError: it takes a transpose of more axes than there can be.
    """
    current, wanted = flat(view.dims), flat(dims)
    sizes = axes_sizes(dims)
    if current == wanted:
        return emission.reshaped(view.tensor, sizes, source)
    order = _whole_dims(view.dims, dims)
    if order is not None:
        return _permuted(emission, view.tensor, order, source)
    pieces = runs(current, wanted)
    spread = _spread(emission, view.tensor, pieces, wanted, source)
    if spread is not None:
        return emission.reshaped(spread, sizes, source)
    if len(pieces) > MAX_RANK:
        raise UnsupportedOpError(
            f"node {source!r}: moving its axes takes a transpose of {len(pieces)} axes, TensorFlow Lite has {MAX_RANK}",
            hint="rewrite the reshapes and transposes before it",
        )
    piece_sizes = tuple(product(tuple(atom.size for atom in piece)) for piece in pieces)
    tensor = emission.reshaped(view.tensor, piece_sizes, source)
    start = {piece[0]: index for index, piece in enumerate(pieces)}
    order = tuple(start[atom] for atom in wanted if atom in start)
    return emission.reshaped(_permuted(emission, tensor, order, source), sizes, source)


def _spread(emission: Emission, tensor: Tensor, pieces: list[Axis], wanted: Axis, source: str) -> Tensor | None:
    """DEPTH_TO_SPACE, if that is the order: (n h) w r (s c) -> (n h) r w (s c) with r = s. It has no int16."""
    if tensor.element is Element.INT16 or len(pieces) != 4 or (pieces[0] + pieces[2] + pieces[1] + pieces[3]) != wanted:
        return None
    outer, width, block, inner = pieces
    if len(block) != 1 or len(width) != 1 or block[0].size != inner[0].size:
        return None
    side, height = block[0].size, outer[-1].size
    batch = product(tuple(atom.size for atom in outer[:-1]))
    depth = product(tuple(atom.size for atom in inner)) * side
    packed = emission.reshaped(tensor, (batch, height, width[0].size, depth), source)
    rest = depth.quotient(side * side)
    assert rest is not None
    found = Tensor(
        name=emission.name(f"{tensor.name}_spread"),
        sizes=(batch, height * side, width[0].size * side, rest),
        element=tensor.element,
        quant=tensor.quant,
    )
    options = schema.DepthToSpaceOptionsT(blockSize=side.one)
    emission.add(source, "DEPTH_TO_SPACE", [packed], [found], options)
    return found


def _permuted(emission: Emission, tensor: Tensor, order: tuple[int, ...], source: str) -> Tensor:
    found = Tensor(
        name=emission.name(f"{tensor.name}_transposed"),
        sizes=tuple(tensor.sizes[axis] for axis in order),
        element=tensor.element,
        quant=tensor.quant,
    )
    operand = emission.integers(list(order), "order")
    emission.add(source, "TRANSPOSE", [tensor, operand], [found], schema.TransposeOptionsT())
    return found


def whole_order(emission: Emission, view: View, source: str) -> tuple[View, tuple[int, ...]]:
    """The view with every axis a dimension of its own, in the order that it is stored in if that is possible."""
    order = storage_order(view)
    if order is None:
        rank = len(view.axes)
        order = (0, 2, 3, 1) if rank == 4 else identity(rank)
    return emission.arrange(view, ordered(view.axes, order), source), order


def _whole_dims(current: Axes, wanted: Axes) -> tuple[int, ...] | None:
    """The permutation, if the wanted dimensions are the current ones in another order."""
    if len(current) != len(wanted) or len(current) > MAX_RANK:
        return None
    left = list(range(len(current)))
    order = []
    for dim in wanted:
        found = next((index for index in left if current[index] == dim), None)
        if found is None:
            return None
        left.remove(found)
        order.append(found)
    return tuple(order)
