"""Moving data: the op, if one is needed, that brings a tensor's axes into another order."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.builder import GraphBuilder
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.sizes import product
from zsq_export.backends.tflite_edge.views import Axes, Axis, View, axes_sizes, flat, runs
from zsq_export.errors import UnsupportedOpError

MAX_RANK = 6
"""Of TRANSPOSE and of tensors in general in the delegate."""


def moved(builder: GraphBuilder, view: View, dims: Axes, source: str) -> Tensor:
    """The tensor of a view with its atoms grouped and ordered like this, by the cheapest op that does it.

    Raises:
        UnsupportedOpError: it takes a transpose of more axes than there can be.
    """
    current, wanted = flat(view.dims), flat(dims)
    sizes = axes_sizes(dims)
    if current == wanted:
        return builder.reshaped(view.tensor, sizes, source)
    order = _whole_dims(view.dims, dims)
    if order is not None:
        return _permuted(builder, view.tensor, order, source)
    pieces = runs(current, wanted)
    spread = _spread(builder, view.tensor, pieces, wanted, source)
    if spread is not None:
        return builder.reshaped(spread, sizes, source)
    if len(pieces) > MAX_RANK:
        raise UnsupportedOpError(
            f"node {source!r}: moving its axes takes a transpose of {len(pieces)} axes, TensorFlow Lite has {MAX_RANK}",
            hint="rewrite the reshapes and transposes before it",
        )
    piece_sizes = tuple(product(tuple(atom.size for atom in piece)) for piece in pieces)
    tensor = builder.reshaped(view.tensor, piece_sizes, source)
    start = {piece[0]: index for index, piece in enumerate(pieces)}
    order = tuple(start[atom] for atom in wanted if atom in start)
    return builder.reshaped(_permuted(builder, tensor, order, source), sizes, source)


def _spread(builder: GraphBuilder, tensor: Tensor, pieces: list[Axis], wanted: Axis, source: str) -> Tensor | None:
    """DEPTH_TO_SPACE, if that is the order: (n h) w r (s c) -> (n h) r w (s c) with r = s. It has no int16."""
    if tensor.element is Element.INT16 or len(pieces) != 4 or (pieces[0] + pieces[2] + pieces[1] + pieces[3]) != wanted:
        return None
    outer, width, block, inner = pieces
    if len(block) != 1 or len(width) != 1 or block[0].size != inner[0].size:
        return None
    side, height = block[0].size, outer[-1].size
    batch = product(tuple(atom.size for atom in outer[:-1]))
    depth = product(tuple(atom.size for atom in inner)) * side
    packed = builder.reshaped(tensor, (batch, height, width[0].size, depth), source)
    rest = depth.quotient(side * side)
    assert rest is not None
    found = builder.like(tensor, f"{tensor.name}_spread", (batch, height * side, width[0].size * side, rest))
    options = schema.DepthToSpaceOptionsT(blockSize=side.one)
    builder.add(source, "DEPTH_TO_SPACE", [packed], [found], options)
    return found


def _permuted(builder: GraphBuilder, tensor: Tensor, order: tuple[int, ...], source: str) -> Tensor:
    found = builder.like(tensor, f"{tensor.name}_transposed", tuple(tensor.sizes[axis] for axis in order))
    operand = builder.integers(list(order), "order")
    builder.add(source, "TRANSPOSE", [tensor, operand], [found], schema.TransposeOptionsT())
    return found


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
