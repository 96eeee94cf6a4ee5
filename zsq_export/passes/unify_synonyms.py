"""One spelling for ops that mean the same."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.graph.topology import constant_value, int_attribute, is_float, is_op, rank_of
from zsq_export.passes.editing import Editor

_AXES_SLOT = 1
_SPATIAL_START = 2


class UnifySynonyms(ir.passes.InPlacePass):
    """Rewrites ops into the spelling that placement tables and runtimes know best.

    1. Sum of two tensors is Add.
    2. ReduceMean over all spatial axes of a tensor with at least three axes is GlobalAveragePool, followed by a
       Flatten where the axes are dropped.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to the main graph."""
        editor = Editor(model)
        for node in list(model.graph):
            if is_op(node, "Sum") and len(node.inputs) == 2:
                node.op_type = "Add"
                editor.modified = True
            elif is_op(node, "ReduceMean") and is_float(node.outputs[0]) and _is_global_mean(node):
                _rewrite_mean(editor, node)
        return editor.result()


def _is_global_mean(node: ir.Node) -> bool:
    """``axes`` is an attribute before opset 18 and an input from then on."""
    rank = rank_of(node.inputs[0])
    given = constant_value(node.inputs[_AXES_SLOT]) if len(node.inputs) > _AXES_SLOT else None
    axes = list(node.attributes.get_ints("axes", ())) if given is None else given.reshape(-1).tolist()
    if rank is None or rank <= _SPATIAL_START or not axes:
        return False
    return sorted(axis % rank for axis in axes) == list(range(_SPATIAL_START, rank))


def _rewrite_mean(editor: Editor, node: ir.Node) -> None:
    output, keep = node.outputs[0], int_attribute(node, "keepdims", 1)
    source = node.inputs[0]
    assert source is not None and source.shape is not None
    pooled = editor.node(
        "GlobalAveragePool", [source], like=output, value_name=f"{output.name}_pooled", node_name=f"{node.name}_pool"
    )
    pooled.outputs[0].shape = ir.Shape([*source.shape[:_SPATIAL_START], *[1] * (len(source.shape) - _SPATIAL_START)])
    editor.graph.insert_before(node, pooled)
    if keep:
        editor.take_over(node, pooled.outputs[0])
        return
    flat = editor.node(
        "Flatten", [pooled.outputs[0]], like=output, value_name=f"{output.name}_flat", node_name=f"{node.name}_flatten"
    )
    editor.graph.insert_before(node, flat)
    editor.take_over(node, flat.outputs[0])
