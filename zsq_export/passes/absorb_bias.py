"""High biases move into the next convolution, so that the activation between the two needs a smaller range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import constant_value, float_weight, int_attribute, ints_attribute, is_op, only_consumer
from zsq_export.passes.editing import Editor

_BIAS = 2
_DEVIATIONS = 3.0
Array = NDArray[np.float32]


class AbsorbBias(ir.passes.InPlacePass):
    """Conv -> Relu -> Conv: c = max(0, beta - 3 |gamma|) leaves the first bias, and its effect enters the second.

    Relu(x - c) is Relu(x) - c wherever x >= c, which 99.9 % of a normal variable are. Source: Nagel et al. 2019,
    arXiv:1906.04721, section 4.1.3.

    1. Both biases are constants of their own; the second convolution pads nothing, else the borders would shift.
    2. The first convolution's output has known moments.
    """

    def __init__(self, moments: Mapping[str, tuple[Array, Array]]) -> None:
        """Takes beta and gamma of the tensors behind a BatchNorm."""
        super().__init__()
        self.moments = moments
        self.absorbed: dict[str, Array] = {}
        """After a run: tensor -> what each of its channels was lowered by."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules."""
        editor = Editor(model)
        for node in model.graph:
            known = self.moments.get(node.outputs[0].name or "") if is_op(node, "Conv") else None
            relu = only_consumer(node.outputs[0]) if known is not None else None
            second = only_consumer(relu.outputs[0]) if relu is not None and is_op(relu, "Relu") else None
            if known is None or second is None or not _absorbs(node, second):
                continue
            excess = np.maximum(0.0, known[0] - _DEVIATIONS * np.abs(known[1])).astype(np.float32)
            if excess.any():
                _shift(node, -excess)
                _shift(second, _effect(second, excess))
                self.absorbed[str(node.outputs[0].name)] = excess
                editor.modified = True
        return editor.result()


def _absorbs(first: ir.Node, second: ir.Node) -> bool:
    padded = any(ints_attribute(second, "pads", ())) or second.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    return is_op(second, "Conv") and float_weight(second) is not None and not padded and all(
        _own_bias(node) is not None for node in (first, second)
    )  # fmt: skip


def _own_bias(node: ir.Node) -> Array | None:
    value = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
    return constant_value(value) if value is not None and len(value.uses()) == 1 else None


def _shift(node: ir.Node, delta: Array) -> None:
    value, bias = node.inputs[_BIAS], _own_bias(node)
    assert value is not None and bias is not None
    value.const_value = ir.Tensor((bias + delta).astype(np.float32), name=value.name)


def _effect(node: ir.Node, excess: Array) -> Array:
    """What the second convolution makes of a constant input: [output channels]."""
    weight = float_weight(node)
    assert weight is not None
    groups = int_attribute(node, "group", 1)
    per_input = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).sum(3)
    return np.asarray(np.einsum("goi,gi->go", per_input, excess.reshape(groups, -1)).reshape(-1), np.float32)
