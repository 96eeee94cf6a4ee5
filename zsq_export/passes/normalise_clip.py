"""One form of limiting a tensor to an interval."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zsq_export.graph.limits import Interval, clip_interval, composed
from zsq_export.graph.topology import constant_scalar, is_float, is_op, only_consumer
from zsq_export.passes.editing import Editor


class NormaliseClip(ir.passes.InPlacePass):
    """Writes Relu6 and its relatives as Relu or as Clip with constant limits.

    1. Max or Min of a float tensor and one constant number becomes Clip.
    2. Two neighbours among Relu and Clip become one, if nobody else reads the tensor between them.
    3. Clip from 0 without upper limit becomes Relu; Clip without limits goes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules in topological order to the main graph."""
        editor = Editor(model)
        for node in list(model.graph):
            interval = _interval(node)
            if interval is None or not is_float(node.outputs[0]):
                continue
            source_index = _source_index(node)
            inner = node.inputs[source_index].producer() if node.inputs[source_index] else None  # type: ignore[union-attr]
            before = _interval(inner) if inner is not None and only_consumer(inner.outputs[0]) is node else None
            if before is not None and inner is not None:
                interval = composed(before, interval)
                editor.set_input(node, source_index, inner.inputs[_source_index(inner)])
                editor.remove(inner)
            elif is_op(node, "Relu", "Clip") and _is_settled(node, interval):
                continue
            self._write(editor, node, interval)
        return editor.result()

    def _write(self, editor: Editor, node: ir.Node, interval: Interval) -> None:
        source = node.inputs[_source_index(node)]
        low, high = interval
        if low == -np.inf and high == np.inf:
            editor.set_input(node, 0, source)
            node.op_type = "Clip"
            node.resize_inputs(1)
            editor.bypass(node)
            return
        relu = low == 0 and high == np.inf
        limits = [] if relu else [_limit(editor, node, "min", low), _limit(editor, node, "max", high)]
        inputs = [source, *limits]
        old = [value for value in node.inputs if value is not None]
        node.op_type = "Relu" if relu else "Clip"
        node.resize_inputs(len(inputs))
        for index, value in enumerate(inputs):
            node.replace_input_with(index, value)
        for value in old:
            editor.drop_if_unused(value)
        editor.modified = True


def _limit(editor: Editor, node: ir.Node, name: str, limit: float) -> ir.Value | None:
    return None if np.isinf(limit) else editor.constant(np.array(limit, dtype=np.float32), f"{node.name}.{name}")


def _interval(node: ir.Node | None) -> Interval | None:
    """The interval that the node limits its tensor to; None for other nodes and computed limits."""
    if node is not None and is_op(node, "Relu", "Clip"):
        return clip_interval(node)
    if node is not None and is_op(node, "Max", "Min") and len(node.inputs) == 2:
        limits = [constant_scalar(value) if _is_scalar(value) else None for value in node.inputs]
        known = [limit for limit in limits if limit is not None]
        if len(known) == 1:
            return (known[0], np.inf) if node.op_type == "Max" else (-np.inf, known[0])
    return None


def _is_scalar(value: ir.Value | None) -> bool:
    """One number that does not add axes to what it is compared with."""
    return value is not None and value.shape is not None and len(value.shape) <= 1


def _source_index(node: ir.Node) -> int:
    if is_op(node, "Max", "Min"):
        return 1 if constant_scalar(node.inputs[0]) is not None else 0
    return 0


def _is_settled(node: ir.Node, interval: Interval) -> bool:
    """Whether the node is written as rule 3 wants it."""
    if is_op(node, "Relu"):
        return True
    return interval not in ((0.0, np.inf), (-np.inf, np.inf))
