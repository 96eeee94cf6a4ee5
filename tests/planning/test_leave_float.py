"""Nodes that a person wants in float."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx_graphs import model, node, random_feeds, weights
from plans import prepared

from zsq_export.backends.onnxruntime_cpu import OnnxRuntimeCpu
from zsq_export.errors import UsageError
from zsq_export.execution.collect import collect_statistics
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.leave_float import leave_as_wished
from zsq_export.planning.plan import Plan


def _graph() -> ir.Model:
    names = ("one", "two", "three")
    sources = ("x", "a", "b")
    results = ("a", "b", "y")
    nodes = [
        node("Conv", [source, f"w_{name}"], result, name)
        for name, source, result in zip(names, sources, results, strict=True)
    ]
    return model(nodes, {f"w_{name}": weights(3, 3, 1, 1) for name in names})


def _planned(options: PlanOptions) -> Plan:
    graph = _graph()
    statistics = collect_statistics(graph, random_feeds(graph, batch=2))
    return leave_as_wished(
        make_plan(prepared(graph), statistics, OnnxRuntimeCpu().placement(), options), graph, options
    )


def _quantized_weights(plan: Plan) -> set[str]:
    return {item.tensor for item in plan.tensors if item.tensor.startswith("w_")}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (PlanOptions(), {"one", "two", "three"}),
        (PlanOptions(leave_float=("two",)), {"one", "three"}),
        (PlanOptions(leave_float=("t*",)), {"one"}),
        (PlanOptions(leave_float=("one", "three")), {"two"}),
        (PlanOptions(leave_float_from=("two",)), {"one"}),
        (PlanOptions(leave_float=("one",), leave_float_from=("three",)), {"two"}),
    ],
)
def test_what_is_named_is_not_quantized(options: PlanOptions, kept: set[str]) -> None:
    plan = _planned(options)
    assert _quantized_weights(plan) == {f"w_{name}" for name in kept}
    assert {op.node for op in plan.float_ops} == {"one", "two", "three"} - kept
    assert all(op.reason == "it was to stay float" for op in plan.float_ops)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="'thre'") as caught:
        _planned(PlanOptions(leave_float=("thre",)))
    assert caught.value.hint == "did you mean three?"
    with pytest.raises(UsageError, match=r"'q\*'"):
        _planned(PlanOptions(leave_float_from=("q*",)))
