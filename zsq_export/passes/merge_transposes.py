"""Layout changes that undo each other, as converters from NHWC frameworks leave them."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.graph.topology import is_op, rank_of
from zsq_export.passes.editing import Editor


class MergeTransposes(ir.passes.InPlacePass):
    """Composes a Transpose with the Transpose before it.

    1. The second reads the first one's input with both permutations in one; the first goes when nobody else reads it.
    2. If the permutations cancel, both go (a graph output keeps its name and may keep a Transpose).
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules in topological order."""
        editor = Editor(model)
        for node in list(model.graph):
            source = node.inputs[0] if is_op(node, "Transpose") else None
            inner = None if source is None else source.producer()
            if inner is None or not is_op(inner, "Transpose") or rank_of(source) is None:
                continue
            order = [_order(inner)[axis] for axis in _order(node)]
            editor.set_input(node, 0, inner.inputs[0])
            node.attributes["perm"] = ir.AttrInt64s("perm", order)
            if order == sorted(order):
                editor.bypass(node)
            if not inner.outputs[0].uses() and not inner.outputs[0].is_graph_output():
                editor.remove(inner)
        return editor.result()


def _order(node: ir.Node) -> list[int]:
    """The permutation; without the attribute the axes are reversed."""
    rank = rank_of(node.outputs[0]) or rank_of(node.inputs[0]) or 0
    return list(node.attributes.get_ints("perm", ())) or list(range(rank))[::-1]
