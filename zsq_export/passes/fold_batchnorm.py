"""BatchNormalization leaves the graph; what it does stays."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zsq_export.errors import ModelError
from zsq_export.graph.batchnorm import batchnorm_affine
from zsq_export.graph.topology import constant_value, is_op, only_consumer, rank_of
from zsq_export.passes.affine import Affine, absorb, can_absorb
from zsq_export.passes.editing import Editor


class FoldBatchNorm(ir.passes.InPlacePass):
    """Folds every BatchNormalization with constant parameters, leaving each output's name and value as they were.

    1. Behind a Conv, ConvTranspose or Gemm with constant weight and one reader: into its weight and bias. A shared
       weight is copied. The weighted op's output takes the name of the BatchNormalization's.
    2. Behind a MatMul with a result of two axes: its scale into the weight, the rest becomes an Add of a constant.
    3. Behind such a MatMul and an Add of a constant: into both. The product, whose value changes, is renamed.
    4. Anywhere else (pre-activation networks, on the input, behind an op with several readers): an exact Mul and Add.
    5. A BatchNormalization whose parameters are computed, or whose input has an unknown rank, stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules in topological order."""
        editor = Editor(model)
        for node in list(model.graph):
            affine = batchnorm_affine(node) if is_op(node, "BatchNormalization") else None
            if affine is not None:
                self._fold(editor, node, Affine(scale=affine[0], shift=affine[1]))
        return editor.result()

    def ensures(self, model: ir.Model) -> None:
        """No node reads a tensor that is gone."""
        for node in model.graph:
            for value in node.inputs:
                if value is not None and value.producer() is None and value.graph is None:
                    raise ModelError(f"folding left node {node.name!r} without its input {value.name!r}")

    def _fold(self, editor: Editor, node: ir.Node, affine: Affine) -> None:
        source = node.inputs[0]
        assert source is not None
        producer = source.producer()
        if producer is not None and can_absorb(producer, affine):
            absorb(editor, producer, affine)
            editor.take_over(node, source)
        elif _fold_into_matmul(editor, node, affine):
            return
        elif rank_of(source) is not None:
            _replace_by_mul_add(editor, node, affine)


def _fold_into_matmul(editor: Editor, node: ir.Node, affine: Affine) -> bool:
    """Rules 2 and 3."""
    source = node.inputs[0]
    add = source.producer() if source is not None and only_consumer(source) is not None else None
    bias_index = _constant_row(add, affine.scale.size) if add is not None and is_op(add, "Add") else None
    product = add.inputs[1 - bias_index] if add is not None and bias_index is not None else source
    matmul = None if product is None else product.producer()
    only_scale = Affine(scale=affine.scale, shift=np.zeros_like(affine.shift))
    if matmul is None or not is_op(matmul, "MatMul") or not can_absorb(matmul, only_scale):
        return False
    absorb(editor, matmul, only_scale)
    matmul.outputs[0].name = editor.new_value_name(f"{matmul.outputs[0].name}_folded")
    if add is None or bias_index is None:
        _replace_by_add(editor, node, affine)
        return True
    old = constant_value(add.inputs[bias_index])
    assert old is not None and source is not None
    shift = (old.astype(np.float64).reshape(-1) * affine.scale + affine.shift).astype(np.float32)
    editor.set_input(add, bias_index, editor.constant(shift, f"{add.name}.bias"))
    editor.take_over(node, source)
    return True


def _constant_row(add: ir.Node, channels: int) -> int | None:
    """Slot of an Add that holds one constant number, or one per column of a two-axis tensor."""
    for index, value in enumerate(add.inputs):
        array = constant_value(value)
        if array is not None and array.shape in ((), (1,), (channels,), (1, 1), (1, channels)):
            return index
    return None


def _replace_by_add(editor: Editor, node: ir.Node, affine: Affine) -> None:
    shift = editor.constant(affine.shift.astype(np.float32), f"{node.name}.shift")
    name = f"{node.outputs[0].name}_shifted"
    add = editor.node(
        "Add", [node.inputs[0], shift], like=node.outputs[0], value_name=name, node_name=f"{node.name}_add"
    )
    editor.graph.insert_before(node, add)
    editor.take_over(node, add.outputs[0])


def _replace_by_mul_add(editor: Editor, node: ir.Node, affine: Affine) -> None:
    source = node.inputs[0]
    rank = rank_of(source)
    assert source is not None and rank is not None
    column = [1, -1, *[1] * (rank - 2)]
    name, label = node.outputs[0].name, node.name
    scale = editor.constant(affine.scale.reshape(column).astype(np.float32), f"{label}.scale")
    shift = editor.constant(affine.shift.reshape(column).astype(np.float32), f"{label}.shift")
    mul = editor.node(
        "Mul", [source, scale], like=node.outputs[0], value_name=f"{name}_scaled", node_name=f"{label}_mul"
    )
    add = editor.node(
        "Add", [mul.outputs[0], shift], like=node.outputs[0], value_name=f"{name}_shifted", node_name=f"{label}_add"
    )
    editor.graph.insert_before(node, [mul, add])
    editor.take_over(node, add.outputs[0])
