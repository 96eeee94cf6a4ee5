"""From a placement table and statistics to the plan of one model for one target."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import constant_value, value_by_name
from zsq_export.planning.activations import activation_qparams
from zsq_export.planning.bias_correction import bias_corrections
from zsq_export.planning.half import float32_ops
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.parameters import constant_plans, parameter_plans
from zsq_export.planning.placement import Placement, place
from zsq_export.planning.plan import Plan, Role, TensorPlan, Use
from zsq_export.planning.table import PlacementTable
from zsq_export.planning.widths import choose_widths
from zsq_export.quantization.qparams import QParams
from zsq_export.quantization.statistics import TensorStatistics


def make_plan(
    prepared: PreparedModel,
    statistics: Mapping[str, TensorStatistics],
    table: PlacementTable,
    options: PlanOptions | None = None,
) -> Plan:
    """Decides everything about the quantized model; nothing is changed yet (``passes.InsertQdq`` does that).

    Args:
        prepared: its ``folded`` model is planned.
        statistics: for every float tensor of the folded model.
        table: the target's placement.
        options: estimator and corrections; None: the defaults.

    Returns:
        The plan, its tensors in graph order; the same arguments give an equal plan.

    Raises:
        PlanError: statistics for a tensor are missing or not finite.
        UsageError: the target does not run the bits asked for.
    """
    options = options or PlanOptions()
    model = prepared.folded
    placement = place(model, table, choose_widths(model, table, options))
    qparams = activation_qparams(model, placement, statistics, table, options)
    tensors = [
        *_activation_plans(model, placement, qparams),
        *constant_plans(placement, model, qparams),
        *parameter_plans(placement, qparams, options),
    ]
    return Plan(
        target=table.target,
        scheme=table.scheme,
        model_sha256=prepared.source.sha256,
        equalized=options.equalized,
        rounding=options.rounding or "nearest",
        tensors=tuple(_in_graph_order(model, tensors)),
        float_ops=tuple(placement.float_ops) if table.rules else (),
        float32_ops=float32_ops(model, statistics) if table.half else (),
        bias_corrections=bias_corrections(model, tensors, statistics) if options.bias_correction else (),
    )


def _activation_plans(model: ir.Model, placement: Placement, qparams: Mapping[str, QParams]) -> list[TensorPlan]:
    values = value_by_name(model)
    plans = []
    for name in placement.specs:
        value = values[name]
        if name in placement.carried or constant_value(value) is not None:
            continue
        produced = name in placement.produced
        uses = tuple(_all_uses(value, model)) if produced else tuple(placement.readers.get(name, ()))
        as_output = produced and value.is_graph_output()
        if uses or as_output:
            plans.append(
                TensorPlan(
                    tensor=name,
                    role=Role.ACTIVATION,
                    qparams=qparams[name],
                    uses=tuple(sorted(uses)),
                    as_output=as_output,
                )
            )
    return plans


def _all_uses(value: ir.Value, model: ir.Model) -> list[Use]:
    """Slots of the main graph that read the value; nodes inside sub-graphs keep the float one."""
    return [Use(node=node.name or "", input_index=slot) for node, slot in value.uses() if node.graph is model.graph]


def _in_graph_order(model: ir.Model, tensors: list[TensorPlan]) -> list[TensorPlan]:
    """Sorted by the first node that reads the tensor; outputs that nothing reads come last."""
    position = {node.name: index for index, node in enumerate(model.graph)}

    def key(plan: TensorPlan) -> tuple[int, int, str]:
        first = min(((position[use.node], use.input_index) for use in plan.uses), default=(len(position), 0))
        return (*first, plan.tensor)

    return sorted(tensors, key=key)
