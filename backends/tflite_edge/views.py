"""Where the axes of an ONNX tensor lie in a TFLite tensor. Transposes and reshapes move nothing until an op asks.

An axis is a product of atoms, the lengths that it was ever split into. A view knows the atoms of every ONNX axis and
the order in which the TFLite tensor stores them, so layout is known, never guessed: NCHW data that lies as NHWC is the
atoms n, c, h, w stored as n, h, w, c. Axes of length 1 have no atom; they may stand anywhere at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from zsq_export.backends.tflite_edge.sizes import ONE, Size, product

if TYPE_CHECKING:
    from zsq_export.backends.tflite_edge.graph import Tensor

NHWC = (0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class Atom:
    """One factor of an axis; equal only to itself."""

    size: Size


Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """An ONNX tensor as it lies in a TFLite tensor.

    Attributes:
        tensor: that holds the elements.
        axes: of the ONNX tensor, as atoms.
        dims: of the TFLite tensor, the same atoms in the order of storage.
    """

    tensor: Tensor
    axes: Axes
    dims: Axes

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Shape of the ONNX tensor."""
        return axes_sizes(self.axes)


def axes_sizes(axes: Axes) -> tuple[Size, ...]:
    """Length of every axis."""
    return tuple(product(tuple(atom.size for atom in axis)) for axis in axes)


def flat(axes: Axes) -> Axis:
    """All atoms in order."""
    return tuple(atom for axis in axes for atom in axis)


def new_axes(sizes: tuple[Size, ...]) -> Axes:
    """One atom per axis, none for length 1."""
    return tuple(() if size == ONE else (Atom(size),) for size in sizes)


def identity(rank: int) -> tuple[int, ...]:
    """The order of ONNX."""
    return tuple(range(rank))


def ordered(axes: Axes, order: tuple[int, ...]) -> Axes:
    """The axes in another order."""
    return tuple(axes[axis] for axis in order)


def transposed(view: View, order: tuple[int, ...]) -> View:
    """ONNX Transpose: only the names of the axes change."""
    return replace(view, axes=ordered(view.axes, order))


def storage_order(view: View) -> tuple[int, ...] | None:
    """The order in which whole axes are stored, or None if some axis is torn apart.

    Axes of length 1 keep their place in a four-dimensional NHWC or NCHW tensor and come where ONNX has them otherwise.
    """
    atoms = flat(view.dims)
    spans = {}
    for index, axis in enumerate(view.axes):
        if axis:
            start = atoms.index(axis[0])
            if atoms[start : start + len(axis)] != axis:
                return None
            spans[index] = start
    long = sorted(spans, key=lambda index: spans[index])
    rank = len(view.axes)
    candidates = (identity(rank), NHWC) if rank == len(NHWC) else (identity(rank),)
    for order in candidates[::-1]:
        if [axis for axis in order if axis in spans] == long:
            return order
    return _with_short_axes(long, rank)


def _with_short_axes(long: list[int], rank: int) -> tuple[int, ...]:
    """Puts axes of length 1 before the long axis that follows them in ONNX."""
    order = list(long)
    for axis in reversed(range(rank)):
        if axis not in order:
            later = next((position for position, other in enumerate(order) if other > axis), len(order))
            order.insert(later, axis)
    return tuple(order)


def regrouped(view: View, sizes: tuple[Size, ...]) -> View | None:
    """ONNX Reshape where every new axis is made of whole factors of the old ones; None where it is not.

    Atoms are split where a new axis ends inside of them; the outer factor comes first.
    """
    pending, groups, splits = list(flat(view.axes)), [], {}
    for size in sizes:
        group: list[Atom] = []
        need = size
        while need != ONE:
            if not pending:
                return None
            atom = pending.pop(0)
            rest = need.quotient(atom.size)
            if rest is None:
                inner = atom.size.quotient(need)
                if inner is None:
                    return None
                pieces = Atom(need), Atom(inner)
                splits[atom] = pieces
                atom, rest = pieces[0], ONE
                pending.insert(0, pieces[1])
            group.append(atom)
            need = rest
        groups.append(tuple(group))
    return None if pending else replace(view, axes=tuple(groups), dims=_split(view.dims, splits))


def _split(dims: Axes, splits: dict[Atom, tuple[Atom, Atom]]) -> Axes:
    def pieces(atom: Atom) -> Axis:
        return tuple(piece for part in splits[atom] for piece in pieces(part)) if atom in splits else (atom,)

    return tuple(tuple(piece for atom in dim for piece in pieces(atom)) for dim in dims)


def runs(current: Axis, wanted: Axis) -> list[Axis]:
    """The current order cut into the longest pieces that stay together in the wanted order."""
    follower = dict(pairwise(wanted))
    found: list[list[Atom]] = []
    for atom in current:
        if found and follower.get(found[-1][-1]) is atom:
            found[-1].append(atom)
        else:
            found.append([atom])
    return [tuple(piece) for piece in found]
