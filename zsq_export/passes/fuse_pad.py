"""Explicit padding becomes part of the op that pads anyway."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import (
    constant_scalar,
    constant_value,
    float_weight,
    int_attribute,
    is_op,
    rank_of,
)
from zsq_export.passes.editing import Editor

Integers = NDArray[np.int64]
_PADS, _FILL, _AXES = 1, 2, 3
_SPATIAL_START = 2
_NON_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax")
_SELF_PADDING = ("SAME_UPPER", "SAME_LOWER")


class FusePad(ir.passes.InPlacePass):
    """Moves a constant zero Pad of spatial axes into the ops behind it; each of its readers is looked at by itself.

    1. Conv: its ``pads`` grow.
    2. AveragePool that counts its padding, or has none: its ``pads`` grow and it counts them. Not with ``ceil_mode``.
    3. MaxPool behind an op whose results are never negative: zero and "nothing" give the same maximum.
    4. An op that pads by itself (``auto_pad`` SAME) or any other reader keeps the Pad.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to the main graph."""
        editor = Editor(model)
        for node in list(model.graph):
            pads = _spatial_zero_pads(node) if is_op(node, "Pad") else None
            if pads is None:
                continue
            for reader, index in list(node.outputs[0].uses()):
                if index == 0 and _can_take(reader, node, len(pads) // 2):
                    _grow_pads(editor, reader, node, pads)
            if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
                editor.remove(node)
        return editor.result()


def _spatial_zero_pads(node: ir.Node) -> list[int] | None:
    """Pads in the layout of Conv (all begins, then all ends), or None where rule 1 to 3 cannot apply."""
    pads, rank = constant_value(node.inputs[_PADS]), rank_of(node.inputs[0])
    fill = node.inputs[_FILL] if len(node.inputs) > _FILL else None
    zero = fill is None or constant_scalar(fill) == 0
    if node.attributes.get_string("mode", "constant") != "constant" or pads is None or rank is None or not zero:
        return None
    begins, ends = _per_axis(node, pads, rank)
    if begins is None or ends is None or (begins < 0).any() or (ends < 0).any():
        return None
    if begins[:_SPATIAL_START].any() or ends[:_SPATIAL_START].any() or rank <= _SPATIAL_START:
        return None
    return [int(side) for side in (*begins[_SPATIAL_START:], *ends[_SPATIAL_START:])]


def _per_axis(node: ir.Node, pads: Integers, rank: int) -> tuple[Integers | None, Integers | None]:
    """Begins and ends for every axis; the optional fourth input names the axes that are padded."""
    if len(node.inputs) <= _AXES or node.inputs[_AXES] is None:
        return (pads[:rank], pads[rank:]) if pads.size == 2 * rank else (None, None)
    axes = constant_value(node.inputs[_AXES])
    if axes is None:
        return None, None
    full = np.zeros((2, rank), dtype=np.int64)
    full[:, axes] = pads.reshape(2, -1)
    return full[0], full[1]


def _can_take(reader: ir.Node, pad: ir.Node, axes: int) -> bool:
    if reader.attributes.get_string("auto_pad", "NOTSET") in _SELF_PADDING:
        return False
    if is_op(reader, "Conv"):
        weight = float_weight(reader)
        return weight is not None and weight.ndim == axes + _SPATIAL_START
    if is_op(reader, "AveragePool"):
        counts = bool(int_attribute(reader, "count_include_pad", 0))
        return not int_attribute(reader, "ceil_mode", 0) and (counts or not any(reader.attributes.get_ints("pads", ())))
    source = pad.inputs[0]
    return is_op(reader, "MaxPool") and not int_attribute(reader, "ceil_mode", 0) and _never_negative(source)


def _never_negative(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    if is_op(producer, *_NON_NEGATIVE):
        return True
    if producer is None or not is_op(producer, "Clip") or len(producer.inputs) < _FILL:
        return False
    low = constant_scalar(producer.inputs[1])
    return low is not None and low >= 0


def _grow_pads(editor: Editor, reader: ir.Node, pad: ir.Node, pads: list[int]) -> None:
    own = reader.attributes.get_ints("pads", ()) or [0] * len(pads)
    total = [mine + more for mine, more in zip(own, pads, strict=True)]
    if is_op(reader, "MaxPool", "AveragePool") and not _fits_kernel(reader, total):
        return
    reader.attributes["pads"] = ir.AttrInt64s("pads", total)
    reader.attributes.pop("auto_pad", None)
    if is_op(reader, "AveragePool"):
        reader.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    editor.set_input(reader, 0, pad.inputs[0])


def _fits_kernel(reader: ir.Node, pads: list[int]) -> bool:
    """Runtimes refuse pooling whose padding is as wide as its window."""
    kernel = list(reader.attributes.get_ints("kernel_shape", ()))
    return all(side < size for side, size in zip(pads, kernel * 2, strict=True))
