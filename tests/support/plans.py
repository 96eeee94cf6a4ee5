"""Plans for small graphs: a placement table to play with, and statistics of random inputs."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
from onnx_graphs import random_feeds

from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepared import InputInfo, PreparedModel, SourceFile
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.plan import Plan, TensorPlan, Use
from zsq_export.planning.table import BiasRule, ConstantRule, OpRule, PlacementTable, ScaleRule, Scope, WeightRule
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec

UINT8 = QuantSpec(dtype=QuantDtype.UINT8, symmetric=False)
INT8 = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True)


def table(scope: Scope, bias: BiasRule = BiasRule.FLOAT, *, fuses_into: tuple[str, ...] = ()) -> PlacementTable:
    """Conv, Gemm, MatMul, Add, MaxPool, Concat and Reshape with one scope."""
    weight = WeightRule(input_index=1, spec=INT8)
    return PlacementTable(
        target="test",
        activation=UINT8,
        rules=(
            OpRule(op_types=("Conv", "Gemm", "MatMul"), scope=scope, weight=weight, bias=bias, inputs=(0,), reason="-"),
            OpRule(op_types=("Add",), scope=scope, constants=ConstantRule.QUANTIZE, fuses_into=fuses_into, reason="-"),
            OpRule(
                op_types=("MaxPool", "Reshape"), scope=scope, inputs=(0,), scale_rule=ScaleRule.AGNOSTIC, reason="-"
            ),
            OpRule(op_types=("Concat",), scope=scope, scale_rule=ScaleRule.AGNOSTIC, reason="-"),
        ),
        fused_activations=("Relu", "Clip"),
    )


def prepared(model: ir.Model) -> PreparedModel:
    """The model as if it had been read from a file."""
    inputs = tuple(
        InputInfo(name=v.name or "", shape=tuple(d if isinstance(d, int) else None for d in v.shape or ()))
        for v in model.graph.inputs
    )
    return PreparedModel(
        source=SourceFile(path=Path("test.onnx"), sha256="0" * 64),
        with_batchnorm=model,
        folded=model,
        batchnorms=(),
        inputs=inputs,
        output_names=tuple(v.name or "" for v in model.graph.outputs),
    )


def plan(model: ir.Model, rules: PlacementTable, *, bias_correction: bool = False) -> Plan:
    """A plan from the statistics of a few random inputs."""
    statistics = collect_statistics(model, random_feeds(model, batch=8))
    return make_plan(prepared(model), statistics, rules, PlanOptions(bias_correction=bias_correction))


def entry(made: Plan, tensor: str) -> TensorPlan:
    """The entry of a tensor."""
    return next(item for item in made.tensors if item.tensor == tensor)


def use(node: str, index: int = 0) -> Use:
    """A slot."""
    return Use(node=node, input_index=index)
