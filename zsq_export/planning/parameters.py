"""Plans for constant weights and int32 biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, float_weight, rank_of, weight_axis
from zsq_export.planning.eligibility import bias_place
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.placement import Placement
from zsq_export.planning.plan import Role, TensorPlan, Use
from zsq_export.planning.table import BiasRule, WeightRule
from zsq_export.quantization.bias import bias_qparams
from zsq_export.quantization.blocks import blocked_qparams
from zsq_export.quantization.qparams import FloatArray, QParams
from zsq_export.quantization.weights import weight_qparams, widen_for_bias

_MATRIX_RANK = 2


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """One weighted node: what it reads, and with which input scale (1 where it reads floats)."""

    node: ir.Node
    weight: WeightRule
    input_scale: float | None
    """None where the input stays float."""
    bias_place: tuple[ir.Node, int] | None
    """Node and slot of a bias that is to become int32."""

    @property
    def weight_name(self) -> str:
        return _name(self.node.inputs[self.weight.input_index])

    @property
    def int_bias(self) -> FloatArray | None:
        """The bias, if it is to become int32."""
        if self.bias_place is None or not self.input_scale:
            return None
        node, slot = self.bias_place
        array = constant_value(node.inputs[slot])
        return None if array is None else np.atleast_1d(np.asarray(array, dtype=np.float32).squeeze())

    @property
    def bias_use(self) -> Use:
        """The slot of the bias."""
        assert self.bias_place is not None
        return Use(node=self.bias_place[0].name or "", input_index=self.bias_place[1])

    @property
    def bias_name(self) -> str:
        """Tensor name of the bias."""
        assert self.bias_place is not None
        return _name(self.bias_place[0].inputs[self.bias_place[1]])

    def use(self, slot: int) -> Use:
        return Use(node=self.node.name or "", input_index=slot)


def parameter_plans(placement: Placement, activations: Mapping[str, QParams], options: PlanOptions) -> list[TensorPlan]:
    """Weights (one entry per constant, however many nodes share it) and int32 biases.

    A bias shared by nodes whose accumulators have different steps gets an entry for each step.
    """
    readers = [
        _Reader(
            node=node,
            weight=rule.weight,
            input_scale=_input_scale(node, placement, activations),
            bias_place=bias_place(node, rule) if rule.bias is BiasRule.INT32 else None,
        )
        for node, rule in placement.weighted
        if rule.weight is not None
    ]
    by_weight: dict[str, list[_Reader]] = {}
    for reader in readers:
        by_weight.setdefault(reader.weight_name, []).append(reader)
    plans: list[TensorPlan] = []
    for sharing in by_weight.values():
        weight = _weight_plan(sharing, options)
        plans += [weight, *_bias_plans(sharing, weight.qparams)]
    return plans


def _input_scale(node: ir.Node, placement: Placement, activations: Mapping[str, QParams]) -> float | None:
    """Scale of the quantized tensor in slot 0; None where that slot reads floats."""
    name = _name(node.inputs[0])
    read = Use(node=node.name or "", input_index=0) in placement.readers.get(name, {}) or name in placement.produced
    return activations[name].scale[0] if read else None


def _weight_plan(sharing: list[_Reader], options: PlanOptions) -> TensorPlan:
    first = sharing[0]
    array = float_weight(first.node)
    assert array is not None
    axes = {_channel_axis(reader.node) for reader in sharing}
    spec = max((reader.weight.spec for reader in sharing), key=lambda spec: spec.width)
    estimator = options.estimator_of_weight(spec)
    axis = axes.pop() if len(axes) == 1 else None
    if spec.block is not None and axis is not None:
        qparams = blocked_qparams(array, spec, (axis + 1) % _MATRIX_RANK)
    else:
        qparams = weight_qparams(array, replace(spec, block=None), axis, estimator)
    for reader in sharing:
        bias = reader.int_bias
        if bias is not None and reader.input_scale and len(bias) in (1, len(qparams.scale)):
            qparams = widen_for_bias(qparams, np.broadcast_to(bias, (len(qparams.scale),)), reader.input_scale)
    uses = tuple(reader.use(reader.weight.input_index) for reader in sharing)
    return TensorPlan(tensor=first.weight_name, role=Role.WEIGHT, qparams=qparams, uses=uses)


def _bias_plans(sharing: list[_Reader], weight: QParams) -> list[TensorPlan]:
    plans: dict[tuple[str, float], TensorPlan] = {}
    for reader in sharing:
        bias = reader.int_bias
        if bias is None or reader.input_scale is None or (weight.axis is not None and len(bias) != len(weight.scale)):
            continue
        key, use = (reader.bias_name, reader.input_scale), reader.bias_use
        if key in plans:
            plans[key] = replace(plans[key], uses=(*plans[key].uses, use))
        else:
            qparams = bias_qparams(weight, reader.input_scale)
            plans[key] = TensorPlan(tensor=key[0], role=Role.BIAS, qparams=qparams, uses=(use,))
    return list(plans.values())


def _channel_axis(node: ir.Node) -> int | None:
    """Channel axis of the weight; None where a target wants one scale: stacks of matrices."""
    if node.op_type == "MatMul" and rank_of(node.inputs[1]) != _MATRIX_RANK:
        return None
    return weight_axis(node)


def constant_plans(placement: Placement, model: ir.Model, activations: Mapping[str, QParams]) -> list[TensorPlan]:
    """Constant operands of ops whose operands are activations: stored as integers on the activation's grid."""
    plans = []
    for node in model.graph:
        for value in node.inputs:
            name = _name(value)
            if name in placement.readers and constant_value(value) is not None:
                uses = tuple(placement.readers[name])
                plans.append(TensorPlan(tensor=name, role=Role.WEIGHT, qparams=activations[name], uses=uses))
    return list({plan.tensor: plan for plan in plans}.values())


def _name(value: ir.Value | None) -> str:
    return "" if value is None else value.name or ""
