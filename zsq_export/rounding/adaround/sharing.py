"""Which quantized tensors have one step between them, told from the graph: equal numbers alone are no reason."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_op
from zsq_export.planning.groups import DisjointSets
from zsq_export.planning.plan import Plan, TensorPlan
from zsq_export.quantization.qparams import QParams

_NEW_VALUES = (
    "Add", "AveragePool", "Conv", "ConvTranspose", "Div", "Gemm", "GlobalAveragePool", "LayerNormalization", "MatMul",
    "Mul", "Pow", "ReduceMean", "Sigmoid", "Softmax", "Sub", "Tanh",
)  # fmt: skip
"""No target wants one scale for what these read and write (``ScaleRule``)."""


@dataclass(frozen=True, kw_only=True)
class StepKey:
    """Of one learned step.

    Attributes:
        place: representative of the tensors that are joined by ops which may ask for one scale.
        qparams: that the step starts from.
    """

    place: str
    qparams: QParams


def step_keys(model: ir.Model, plan: Plan) -> dict[str, StepKey]:
    """Tensor -> its step. Tensors share one if a chain of ops that move values joins them and their qparams are equal.

    A plan does not say which tensors must share a scale, only that they do. Behind activations that clip, tensors all
    over a network have the same range: learned as one step, each segment would spoil what those before it learned.
    """
    planned, joined = {item.tensor for item in plan.tensors}, DisjointSets()
    for node in model.graph:
        if not is_op(node, *_NEW_VALUES):
            values = [value for value in (*node.inputs, *node.outputs) if value is not None]
            # Limits and shapes are constants that ops far apart may have in common.
            joined.unite(
                [value.name or "" for value in values if value.name in planned or constant_value(value) is None]
            )
    return {item.tensor: _key(item, joined) for item in plan.tensors}


def _key(item: TensorPlan, joined: DisjointSets) -> StepKey:
    return StepKey(place=joined.find(item.tensor), qparams=item.qparams)
