"""Reshape targets that are computed at run time although they are known."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_op, static_shape
from zsq_export.passes.editing import Editor

_INFER = -1


class StaticReshapes(ir.passes.InPlacePass):
    """Replaces computed Reshape targets by constants, so that Shape -> Gather -> Concat chains die.

    1. A Reshape whose output shape is static but for at most one dimension gets that shape as a constant, with -1 for
       the dynamic dimension. Shapes with a zero-sized dimension are left alone.
    2. An Expand to a fully static shape gets a constant target.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to the main graph; dead nodes are left to :class:`FoldConstants`."""
        editor = Editor(model)
        for node in model.graph:
            if is_op(node, "Reshape", "Expand") and constant_value(node.inputs[1]) is None:
                self._settle(editor, node)
        return editor.result()

    def _settle(self, editor: Editor, node: ir.Node) -> None:
        sides = static_shape(node.outputs[0])
        allowed = 1 if node.op_type == "Reshape" else 0
        if sides is None or sides.count(None) > allowed or 0 in sides:
            return
        target = np.array([_INFER if side is None else side for side in sides], dtype=np.int64)
        editor.set_input(node, 1, editor.constant(target, f"{node.outputs[0].name}_shape"))
        node.attributes.pop("allowzero", None)
