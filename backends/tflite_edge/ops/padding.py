"""Pad."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.ops.slicing import cut
from zsq_export.backends.tflite_edge.registry import handles
from zsq_export.backends.tflite_edge.sizes import fixed
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import View
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import constant_scalar, constant_value

_PADS, _FILL, _AXES = 1, 2, 3


@handles("Pad", attributes=("mode",))
def pad(step: Step, emission: Emission) -> None:
    """PAD (zeros), PADV2 (another number), MIRROR_PAD (reflect), CONCATENATION (edge).

    PAD writes the zero point, so that zeros are zeros.
    """
    mode = step.node.attributes.get_string("mode", "constant")
    view, order = emission.whole_order(emission.read(step), step.name)
    if mode == "edge":
        emission.give(step, _with_edges(step, emission, view, _border(step, len(order))))
        return
    border = _border(step, len(order))[list(order)]
    operand = emission.integers(border, "border")
    made = emission.result(step, order, quant=view.tensor.quant)
    if mode == "reflect":
        options = schema.MirrorPadOptionsT(mode=schema.MirrorPadMode.REFLECT)
        emission.add(step.name, "MIRROR_PAD", [view.tensor, operand], [made.tensor], options)
    elif mode == "constant" and (fill := _fill(step)) == 0:
        emission.add(step.name, "PAD", [view.tensor, operand], [made.tensor], schema.PadOptionsT())
    elif mode == "constant":
        value = emission.scalar(fill, view.tensor.quant, f"{step.name}_fill")
        emission.add(step.name, "PADV2", [view.tensor, operand, value], [made.tensor], schema.PadV2OptionsT())
    else:
        raise UnsupportedOpError(
            f"node {step.name!r} (Pad): target tflite does not handle mode={mode!r}",
            hint="pad with constant, reflect or edge",
        )
    emission.give(step, made)


def _with_edges(step: Step, emission: Emission, view: View, border: NDArray[np.int64]) -> View:
    """The first and the last row of every axis as often as it is to be repeated, joined to the axis."""
    for axis, (before, after) in enumerate(border.tolist()):
        if not before and not after:
            continue
        length = view.sizes[axis]
        if length.is_open:
            raise UnsupportedOpError(f"node {step.name!r} (Pad): it pads the batch, which is open")
        view, order = emission.whole_order(view, step.name)
        ends = [
            cut(emission, step, view, {axis: (place, 1, 1)}) if length.one > 1 else view
            for place in (0, length.one - 1)
        ]
        parts: list[Tensor | None] = [*[ends[0].tensor] * before, view.tensor, *[ends[1].tensor] * after]
        sizes = tuple(fixed(side.one + before + after) if at == axis else side for at, side in enumerate(view.sizes))
        made = emission.new(f"{step.name}_edges", sizes, order, view.tensor.quant)
        options = schema.ConcatenationOptionsT(axis=order.index(axis))
        emission.add(step.name, "CONCATENATION", parts, [made.tensor], options)
        view = made
    return view


def _border(step: Step, rank: int) -> NDArray[np.int64]:
    """[axes, 2]: how much is added before and after."""
    node = step.node
    pads, axes = constant_value(node.inputs[_PADS]), list(range(rank))
    if len(node.inputs) > _AXES and node.inputs[_AXES] is not None:
        given = constant_value(node.inputs[_AXES])
        if given is None:
            raise UnsupportedOpError(f"node {step.name!r} (Pad): its axes are computed at run time")
        axes = [int(axis) % rank for axis in given.reshape(-1)]
    if pads is None:
        raise UnsupportedOpError(f"node {step.name!r} (Pad): its pads are computed at run time")
    if (pads < 0).any():
        raise UnsupportedOpError(
            f"node {step.name!r} (Pad): target tflite does not handle negative pads", hint="slice instead"
        )
    full = np.zeros((rank, 2), dtype=np.int64)
    full[axes] = pads.reshape(2, -1).T
    return full


def _fill(step: Step) -> float:
    node = step.node
    value = node.inputs[_FILL] if len(node.inputs) > _FILL else None
    if value is None:
        return 0.0
    fill = constant_scalar(value)
    if fill is None:
        raise UnsupportedOpError(f"node {step.name!r} (Pad): its value is computed at run time")
    return fill
