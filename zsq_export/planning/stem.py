"""The first convolution of a network, where integers cost accuracy and save hardly any time."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.graph.macs import node_macs
from zsq_export.graph.topology import is_op
from zsq_export.planning.table import StemRule


def light_stems(model: ir.Model, rule: StemRule | None) -> dict[str, str]:
    """Convolutions of a graph input with at most the share of the rule of all multiply-accumulates -> its reason."""
    if rule is None:
        return {}
    stems = [node for node in model.graph if is_op(node, "Conv") and _reads_input(node)]
    macs = node_macs(model) if stems else {}
    limit = rule.largest_share * sum(macs.values())
    return {str(node.name): rule.reason for node in stems if macs.get(str(node.name), 0) <= limit}


def _reads_input(node: ir.Node) -> bool:
    value = node.inputs[0]
    return value is not None and value.is_graph_input()
