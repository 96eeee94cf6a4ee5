"""One spelling for ops that mean the same."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.graph.topology import constant_value, int_attribute, is_float, is_op, rank_of
from zsq_export.passes.editing import Editor

_AXES_SLOT = 1
_SPATIAL_START = 2
_PAIR = 2


class UnifySynonyms(ir.passes.InPlacePass):
    """Rewrites ops into the spelling that placement tables and runtimes know best.

    1. Sum of two tensors is Add, of more tensors of one shape a chain of Adds.
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
            elif is_op(node, "Sum") and _same_shapes(node):
                _rewrite_sum(editor, node)
            elif is_op(node, "ReduceMean") and is_float(node.outputs[0]) and _is_global_mean(node):
                _rewrite_mean(editor, node)
        return editor.result()


def _same_shapes(node: ir.Node) -> bool:
    """Whether nothing is broadcast, so that every partial sum has the shape of the result."""
    output = node.outputs[0]
    shapes = [value.shape for value in node.inputs if value is not None]
    known = output.shape is not None and all(isinstance(side, int) or side.value for side in output.shape)
    return known and len(shapes) == len(node.inputs) > _PAIR and all(shape == output.shape for shape in shapes)


def _rewrite_sum(editor: Editor, node: ir.Node) -> None:
    """The node itself becomes the last Add."""
    output, terms = node.outputs[0], list(node.inputs)
    total = terms[0]
    for index, term in enumerate(terms[1:-1]):
        added = editor.node(
            "Add", [total, term], like=output, value_name=f"{output.name}_{index}", node_name=f"{node.name}_{index}"
        )
        editor.graph.insert_before(node, added)
        total = added.outputs[0]
    node.op_type = "Add"
    node.resize_inputs(_PAIR)
    node.replace_input_with(0, total)
    node.replace_input_with(1, terms[-1])
    editor.modified = True


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
