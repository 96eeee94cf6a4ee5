"""Correct the mean error that rounding the weights makes at the output of a weighted op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import float_weight, int_attribute, is_op
from zsq_export.planning.eligibility import BIAS_SLOT, bias_array
from zsq_export.planning.plan import BiasCorrection, Role, TensorPlan
from zsq_export.quantization.linear import dequantize, quantize
from zsq_export.quantization.qparams import FloatArray
from zsq_export.quantization.statistics import TensorStatistics

_WITH_BIAS = ("Conv", "Gemm")


def bias_corrections(
    model: ir.Model,
    tensors: Sequence[TensorPlan],
    statistics: Mapping[str, TensorStatistics],
    rounded: Mapping[str, NDArray[np.integer[Any]]] | None = None,
) -> tuple[BiasCorrection, ...]:
    """``delta[o] = sum over i, k of (W - Wq)[o, i, k] * E[x_i]`` for every Conv and Gemm that has a bias of its own.

    The borders, where zero padding lowers E[x], are neglected. Source: Nagel et al. 2019, arXiv:1906.04721, eq. 19.

    Args:
        model: the folded float model.
        tensors: the plan's; its weights say how W is rounded.
        statistics: give E[x] as ``channel_mean``.
        rounded: integers of the weights that are not rounded to the nearest, by tensor name.
    """
    rounding = {use: plan for plan in tensors if plan.role is Role.WEIGHT for use in plan.uses}
    by_slot = {(use.node, use.input_index): plan for use, plan in rounding.items()}
    found = []
    for node in model.graph:
        plan = by_slot.get((node.name or "", 1))
        if plan is None or not is_op(node, *_WITH_BIAS) or not _owns_bias(node):
            continue
        delta = _delta(node, plan, statistics, (rounded or {}).get(plan.tensor))
        if delta is not None and np.any(delta):
            found.append(BiasCorrection(node=node.name or "", delta=tuple(float(d) for d in delta)))
    return tuple(found)


def _owns_bias(node: ir.Node) -> bool:
    value = node.inputs[BIAS_SLOT] if len(node.inputs) > BIAS_SLOT else None
    return bias_array(node) is not None and value is not None and len(tuple(value.uses())) == 1


def _delta(
    node: ir.Node,
    plan: TensorPlan,
    statistics: Mapping[str, TensorStatistics],
    rounded: NDArray[np.integer[Any]] | None,
) -> FloatArray | None:
    source, weight = node.inputs[0], float_weight(node)
    seen = statistics.get(source.name or "") if source is not None else None
    if seen is None or weight is None or seen.channel_axis != 1:
        return None
    error = weight - dequantize(quantize(weight, plan.qparams) if rounded is None else rounded, plan.qparams)
    mean = seen.channel_mean.astype(np.float64)
    if is_op(node, "Gemm"):
        error = error if int_attribute(node, "transB", 0) else error.T
    groups = int_attribute(node, "group", 1)
    per_input = error.reshape(*error.shape[:2], -1).sum(axis=2).astype(np.float64)
    if per_input.shape[1] * groups != len(mean):
        return None
    means = np.repeat(mean.reshape(groups, -1), per_input.shape[0] // groups, axis=0)
    return np.asarray((per_input * means).sum(axis=1), dtype=np.float32)
