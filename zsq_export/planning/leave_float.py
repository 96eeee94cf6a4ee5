"""A plan with some nodes left in float: what a person would delete by hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from zsq_export.errors import UsageError
from zsq_export.graph.topology import consumers, node_by_name, value_by_name
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.plan import FloatOp, Plan
from zsq_export.suggestions import did_you_mean

_WANTED = "it was to stay float"
_LISTED = 20
"""Names of more nodes are not listed in a message."""


def leave_as_wished(plan: Plan, model: ir.Model, options: PlanOptions) -> Plan:
    """Carries out ``leave_float`` and ``leave_float_from``.

    Raises:
        UsageError: a name that fits no node.
    """
    wished = set(_named(model, options.leave_float))
    for first in _named(model, options.leave_float_from):
        wished.update(behind(model, first))
    names = [node.name or "" for node in model.graph if node.name in wished]
    return leave_float(plan, model, names, _WANTED) if names else plan


def _named(model: ir.Model, patterns: Sequence[str]) -> list[str]:
    known = list(node_by_name(model))
    found = []
    for pattern in patterns:
        matches = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
        if not matches:
            raise UsageError(
                f"no node of the model is called {pattern!r}",
                hint=_hint(pattern, known),
            )
        found += matches
    return found


def _hint(pattern: str, known: Sequence[str]) -> str:
    hint = did_you_mean(pattern, known)
    return hint if len(known) <= _LISTED or hint.startswith("did") else "`zsq-export plan` writes their names"


def leave_float(plan: Plan, model: ir.Model, nodes: Collection[str], reason: str) -> Plan:
    """Drops the weights, biases, bias corrections and inner tensors of the nodes.

    What they read of the nodes that stay quantized is still quantized: integer ops write integers on some targets.

    Args:
        plan: of the model.
        model: the folded float model.
        nodes: names.
        reason: recorded for each of them.
    """
    named, values = node_by_name(model), value_by_name(model)
    tensors = []
    for item in plan.tensors:
        producer = values[item.tensor].producer()
        inner = producer is None or producer.name in nodes
        as_output = item.as_output and not inner
        kept = tuple(use for use in item.uses if not inner or use.node not in nodes)
        if kept or as_output:
            tensors.append(replace(item, uses=kept, as_output=as_output))
    known = {op.node for op in plan.float_ops}
    added = [FloatOp(node=name, op_type=named[name].op_type, reason=reason) for name in nodes if name not in known]
    return replace(
        plan,
        tensors=tuple(tensors),
        float_ops=(*plan.float_ops, *added),
        bias_corrections=tuple(item for item in plan.bias_corrections if item.node not in nodes),
    )


def behind(model: ir.Model, first: str) -> tuple[str, ...]:
    """The node and every node that its result reaches, in graph order."""
    found = {node_by_name(model)[first]}
    for node in model.graph:
        if node in found:
            found.update(reader for value in node.outputs for reader in consumers(value))
    return tuple(node.name or "" for node in model.graph if node in found)
