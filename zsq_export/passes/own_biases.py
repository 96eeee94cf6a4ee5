"""Every weighted op gets a bias that is its own, so that corrections and int32 biases need no special cases."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_op
from zsq_export.passes.affine import output_channels
from zsq_export.passes.editing import Editor

_BIAS = 2


class OwnBiases(ir.passes.InPlacePass):
    """Makes the bias of every Conv, ConvTranspose and Gemm with constant weight explicit and unshared.

    1. A missing bias becomes zeros, called ``<node>.bias``.
    2. A constant bias that another slot reads, too, is copied under that name.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to the main graph."""
        editor = Editor(model)
        for node in model.graph:
            channels = output_channels(node) if is_op(node, "Conv", "ConvTranspose", "Gemm") else None
            if channels is None:
                continue
            bias = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
            array = np.zeros(channels, dtype=np.float32) if bias is None else constant_value(bias)
            if array is not None and (bias is None or len(bias.uses()) > 1):
                editor.set_input(node, _BIAS, editor.constant(array, f"{node.name}.bias"))
        return editor.result()
