"""One form of Gemm, so that everything behind this pass has one form to know."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import constant_value, float_attribute, float_weight, int_attribute, is_op
from zsq_export.passes.editing import Editor

FloatArray = NDArray[np.float32]
_WEIGHT, _BIAS = 1, 2


class NormaliseGemm(ir.passes.InPlacePass):
    """Gives every Gemm with constant weight and bias ``transB=1``, ``alpha=1``, ``beta=1`` and a bias of one axis.

    1. ``alpha`` is multiplied into the weight, ``beta`` into the bias.
    2. The weight is stored as [outputs, inputs]: output channels on axis 0, as in Conv.
    3. A bias of shape [], [1] or [1, outputs] becomes [outputs].
    4. A Gemm with computed weight or bias, or a bias that differs from row to row, stays as it is.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to the main graph; changed constants are new ones, so that shared ones stay intact."""
        editor = Editor(model)
        for node in model.graph:
            if is_op(node, "Gemm"):
                self._normalise(editor, node)
        return editor.result()

    def _normalise(self, editor: Editor, node: ir.Node) -> None:
        weight = float_weight(node)
        bias_value = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
        bias = constant_value(bias_value)
        if weight is None or (bias_value is not None and bias is None):
            return
        rows = weight if int_attribute(node, "transB", 0) else weight.T
        outputs = rows.shape[0]
        if bias is not None and bias.shape not in ((), (1,), (outputs,), (1, 1), (1, outputs)):
            return
        self._store(editor, node, rows, bias)

    def _store(self, editor: Editor, node: ir.Node, rows: FloatArray, bias: FloatArray | None) -> None:
        alpha, beta = float_attribute(node, "alpha", 1.0), float_attribute(node, "beta", 1.0)
        if alpha != 1.0 or not int_attribute(node, "transB", 0):
            value = node.inputs[_WEIGHT]
            name = node.name if value is None else value.name
            editor.set_input(node, _WEIGHT, editor.constant(rows * np.float32(alpha), f"{name}_rows"))
        if bias is not None and (beta != 1.0 or bias.shape != (rows.shape[0],)):
            full = np.broadcast_to(bias.reshape(-1) * np.float32(beta), (rows.shape[0],))
            editor.set_input(node, _BIAS, editor.constant(full, f"{node.name}.bias"))
        for name in ("alpha", "beta"):
            node.attributes.pop(name, None)
        node.attributes["transB"] = ir.AttrInt64("transB", 1)
