"""Does a plan, perhaps edited by a person, fit the model and the target?"""

from __future__ import annotations

import math
from dataclasses import replace

import onnx_ir as ir

from zsq_export.errors import PlanError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import constant_value, is_op, node_by_name, static_shape, value_by_name
from zsq_export.planning.eligibility import BIAS_SLOT, added_bias
from zsq_export.planning.plan import Plan, Role, TensorPlan, Use
from zsq_export.planning.table import PlacementTable
from zsq_export.quantization.bias import bias_qparams
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec
from zsq_export.suggestions import did_you_mean

_AGAIN = "make the plan again for this model with `zsq-export plan`"
_WEIGHT_SLOT = 1


def check_plan(plan: Plan, prepared: PreparedModel, table: PlacementTable) -> Plan:
    """Checks a plan against the model and the target, and lets int32 biases follow edited scales.

    A person may delete entries (what they name stays float) and change scales and zero points.

    Args:
        plan: as read.
        prepared: the model to be quantized.
        table: of the target to be lowered to.

    Returns:
        The plan with every int32 bias on the step of its accumulator (input scale times weight scale); a bias whose
        input or weight was deleted stays float.

    Raises:
        PlanError: the plan is for another model or target, names a tensor, node or slot that does not exist, has a
            wrong number of scales, or a type that the target does not run.
    """
    if plan.target != table.target:
        raise PlanError(f"the plan is for target {plan.target!r}, not {table.target!r}", hint="plan for that target")
    if plan.scheme is not table.scheme:
        raise PlanError(f"the plan is for scheme {plan.scheme.value}, not {table.scheme.value}", hint=_AGAIN)
    if plan.model_sha256 != prepared.source.sha256:
        raise PlanError(f"the plan was made for another file than {prepared.source.path.name}", hint=_AGAIN)
    model = prepared.folded
    nodes, values = node_by_name(model), value_by_name(model)
    allowed = _allowed_types(table)
    for item in plan.tensors:
        if item.tensor not in values:
            raise PlanError(f"the model has no tensor {item.tensor!r}", hint=did_you_mean(item.tensor, values))
        _check_type(item, allowed[item.role], table.target)
        _check_value(item, values[item.tensor])
        for use in item.uses:
            _check_use(item, use, nodes)
    _check_overlap(plan)
    left_float = [op.node for ops in (plan.float_ops, plan.float32_ops) for op in ops]
    for name in left_float + [item.node for item in plan.bias_corrections]:
        if name not in nodes:
            raise PlanError(f"the model has no node {name!r}", hint=did_you_mean(name, nodes))
    return replace(plan, tensors=settle_biases(plan, nodes))


def _allowed_types(table: PlacementTable) -> dict[Role, set[QuantDtype]]:
    activations = [table.activation, *(rule.activation for rule in table.rules if rule.activation)]
    weights = [rule.weight.spec for rule in table.rules if rule.weight]
    read = _at_widths(activations, table.activation_widths)
    return {
        Role.ACTIVATION: read,
        Role.WEIGHT: _at_widths(weights, table.weight_widths) | read,
        Role.BIAS: {QuantDtype.INT32},
    }


def _at_widths(specs: list[QuantSpec], widths: frozenset[int]) -> set[QuantDtype]:
    narrower = {spec.with_width(width).dtype for spec in specs for width in widths if width < spec.width}
    return narrower | {spec.dtype for spec in specs}


def _check_type(item: TensorPlan, allowed: set[QuantDtype], target: str) -> None:
    if item.qparams.dtype not in allowed:
        names = ", ".join(sorted(dtype.value for dtype in allowed))
        raise PlanError(
            f"tensor {item.tensor!r} is planned as {item.qparams.dtype.value}, which {target} does not run",
            hint=f"as {item.role.value} it takes {names}",
        )
    if item.role is Role.BIAS and any(item.qparams.zero_point):
        raise PlanError(f"tensor {item.tensor!r} is a bias, its zero point must be 0")


def _check_value(item: TensorPlan, value: ir.Value) -> None:
    constant = constant_value(value) is not None
    if constant != (item.role is not Role.ACTIVATION):
        kind = "a constant" if constant else "computed at run time"
        raise PlanError(f"tensor {item.tensor!r} is {kind}, but planned as {item.role.value}", hint=_AGAIN)
    axis, shape = item.qparams.axis, static_shape(value)
    if axis is None:
        return
    if shape is None or not -len(shape) <= axis < len(shape):
        raise PlanError(f"tensor {item.tensor!r} has no axis {axis}; its shape is {shape}")
    if item.qparams.block is not None:
        _check_blocks(item, shape, item.qparams.block)
    elif shape[axis] != len(item.qparams.scale):
        raise PlanError(
            f"tensor {item.tensor!r} has {shape[axis]} slices along axis {axis}, "
            f"but {len(item.qparams.scale)} scales are planned"
        )


def _check_blocks(item: TensorPlan, shape: tuple[int | None, ...], block: int) -> None:
    elements = math.prod(side or 0 for side in shape)
    if (shape[item.qparams.axis or 0] or 0) % block or elements != block * len(item.qparams.scale):
        raise PlanError(
            f"tensor {item.tensor!r} of shape {shape} has no {len(item.qparams.scale)} blocks of {block} along axis "
            f"{item.qparams.axis}"
        )


def _check_use(item: TensorPlan, use: Use, nodes: dict[str, ir.Node]) -> None:
    node = nodes.get(use.node)
    if node is None:
        raise PlanError(
            f"tensor {item.tensor!r} is planned for node {use.node!r}, which the model does not have",
            hint=did_you_mean(use.node, nodes),
        )
    value = node.inputs[use.input_index] if 0 <= use.input_index < len(node.inputs) else None
    if value is None or value.name != item.tensor:
        raise PlanError(
            f"input {use.input_index} of node {use.node!r} does not read tensor {item.tensor!r}", hint=_AGAIN
        )


def _check_overlap(plan: Plan) -> None:
    """One slot cannot read two quantized tensors."""
    seen: dict[Use, str] = {}
    for item in plan.tensors:
        for use in item.uses:
            if use in seen:
                raise PlanError(
                    f"input {use.input_index} of node {use.node!r} is planned twice", hint="delete one entry"
                )
            seen[use] = item.tensor


def settle_biases(plan: Plan, nodes: dict[str, ir.Node]) -> tuple[TensorPlan, ...]:
    """The tensors of a plan, with int32 biases on the steps of their accumulators.

    Args:
        plan: see there.
        nodes: of the model, by name.
    """
    by_use = {use: item for item in plan.tensors for use in item.uses}
    settled: list[TensorPlan] = []
    for item in plan.tensors:
        settled += [item] if item.role is not Role.BIAS else _settled_bias(item, by_use, nodes)
    return tuple(settled)


def _settled_bias(item: TensorPlan, by_use: dict[Use, TensorPlan], nodes: dict[str, ir.Node]) -> list[TensorPlan]:
    """The bias on the step of each accumulator that it is added to: one entry per step."""
    entries: dict[tuple[float, ...], TensorPlan] = {}
    for use in item.uses:
        weighted = _biased(use, nodes)
        data = by_use.get(Use(node=weighted, input_index=0))
        weight = by_use.get(Use(node=weighted, input_index=_WEIGHT_SLOT))
        if data is None or weight is None:
            continue
        qparams = bias_qparams(weight.qparams, data.qparams.scale[0])
        known = entries.get(qparams.scale)
        uses = (*known.uses, use) if known is not None else (use,)
        entries[qparams.scale] = replace(item, qparams=qparams, uses=uses)
    return list(entries.values())


def _biased(use: Use, nodes: dict[str, ir.Node]) -> str:
    """Name of the weighted op that a bias is added to; "" where the slot holds no bias."""
    if use.input_index == BIAS_SLOT:
        return use.node
    node = nodes[use.node]
    for value in node.inputs if is_op(node, "Add") else ():
        producer = None if value is None else value.producer()
        if producer is not None and added_bias(producer) == (node, use.input_index):
            return producer.name or ""
    return ""
