"""Bias correction: the mean error that quantization causes is taken out of the bias."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.errors import PlanError
from zsq_export.graph.topology import constant_value, is_op, node_by_name, only_consumer
from zsq_export.passes.editing import Editor
from zsq_export.planning.plan import BiasCorrection

_BIAS = 2


class CorrectBias(ir.passes.InPlacePass):
    """Adds a delta per output channel to the bias of weighted ops (Nagel et al. 2019, section 4.2).

    1. Conv, ConvTranspose, Gemm: the bias (missing: zeros, called ``<node>.bias``) changes its value and keeps its
       name; one that another node reads, too, is copied.
    2. MatMul with an Add of a constant row behind it: that constant.
    3. Any other MatMul: a new Add takes over the name of its output; the tensor before it is ``<name>_uncorrected``.
    """

    def __init__(self, corrections: tuple[BiasCorrection, ...]) -> None:
        super().__init__()
        self.corrections = corrections

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules.

        Raises:
            PlanError: a correction names a node that does not exist, has no bias, or has another number of channels.
        """
        editor, nodes = Editor(model), node_by_name(model)
        for item in self.corrections:
            node = nodes.get(item.node)
            if node is None or not is_op(node, "Conv", "ConvTranspose", "Gemm", "MatMul"):
                found = "the model does not have" if node is None else f"is {node.op_type} and has no bias"
                raise PlanError(f"bias correction for node {item.node!r}, which {found}",
                                hint="make the plan again for this model")  # fmt: skip
            delta = np.asarray(item.delta, dtype=np.float64)
            if node.op_type == "MatMul":
                _correct_matmul(editor, node, delta)
            else:
                _add_to_constant(editor, node, _BIAS, delta)
        return editor.result()


def _add_to_constant(editor: Editor, node: ir.Node, index: int, delta: NDArray[np.float64]) -> None:
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None:
        editor.set_input(node, index, editor.constant(delta.astype(np.float32), f"{node.name}.bias"))
        return
    array = constant_value(value)
    if array is None or array.size not in (1, delta.size):
        found = "is computed" if array is None else f"has {array.size} channels, not {delta.size}"
        raise PlanError(f"bias correction for node {node.name!r}: its bias {found}", hint="make the plan again")
    shape = array.shape if array.size == delta.size else (delta.size,)
    corrected = (array.astype(np.float64).reshape(-1) + delta).astype(np.float32).reshape(shape)
    if len(value.uses()) > 1 or shape != array.shape:
        editor.set_input(node, index, editor.constant(corrected, f"{node.name}.bias"))
    else:
        value.const_value = ir.Tensor(corrected, name=value.name)
        editor.modified = True


def _correct_matmul(editor: Editor, node: ir.Node, delta: NDArray[np.float64]) -> None:
    output = node.outputs[0]
    reader = only_consumer(output)
    if reader is not None and is_op(reader, "Add"):
        index = 1 if reader.inputs[0] is output else 0
        row = constant_value(reader.inputs[index])
        if row is not None and row.size == delta.size == row.shape[-1]:
            _add_to_constant(editor, reader, index, delta)
            return
    _insert_add(editor, node, delta)


def _insert_add(editor: Editor, node: ir.Node, delta: NDArray[np.float64]) -> None:
    output = node.outputs[0]
    name, uses, outputs = str(output.name), list(output.uses()), editor.graph.outputs
    bias = editor.constant(delta.astype(np.float32), f"{node.name}.bias")
    add = editor.node("Add", [output, bias], like=output, value_name=f"{name}_corrected", node_name=f"{node.name}_add")
    editor.graph.insert_after(node, add)
    for reader, index in uses:
        reader.replace_input_with(index, add.outputs[0])
    for index, value in enumerate(outputs):
        if value is output:
            outputs[index] = add.outputs[0]
    output.name = editor.new_value_name(f"{name}_uncorrected")
    add.outputs[0].name = name
