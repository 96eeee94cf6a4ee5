"""What must not run in float16."""

from __future__ import annotations

import numpy as np
from onnx_graphs import model, node, random_feeds, run, weights
from plans import prepared

from zsq_export.backends.tensorrt_gpu.placement import TABLES
from zsq_export.execution.collect import collect_statistics
from zsq_export.passes.to_half import ToHalf
from zsq_export.planning import make_plan
from zsq_export.planning.half import float32_ops
from zsq_export.planning.plan_json import plan_from_json, plan_to_json
from zsq_export.planning.schemes import Scheme


def _wide() -> tuple:
    graph = model([
        node("Conv", ["x", "w"], "c"),
        node("Mul", ["c", "k"], "big"),
        node("Mul", ["big", "back"], "small"),
        node("Relu", ["small"], "y"),
    ], {"w": weights(16, 3, 3, 3), "k": np.float32(4e4), "back": np.float32(1 / 4e4)})  # fmt: skip
    return graph, collect_statistics(graph, random_feeds(graph, batch=4))


def test_what_touches_a_large_tensor_stays_float32_with_the_reason() -> None:
    graph, statistics = _wide()
    found = float32_ops(graph, statistics)
    assert [op.node for op in found] == ["big_node", "small_node"]
    assert "big reaches" in found[0].reason
    assert "65504" in found[0].reason


def test_the_plan_says_so_and_the_conversion_goes_by_it() -> None:
    graph, statistics = _wide()
    made = make_plan(prepared(graph), statistics, TABLES[Scheme.FP16])
    assert [op.node for op in plan_from_json(plan_to_json(made)).float32_ops] == ["big_node", "small_node"]
    feeds = random_feeds(graph)
    expected = run(graph, feeds)["y"]
    kept = graph.clone()
    ToHalf([op.node for op in made.float32_ops])(kept)
    assert {item.name: item.outputs[0].dtype.name for item in kept.graph if item.op_type == "Mul"} == {
        "big_node": "FLOAT",
        "small_node": "FLOAT",
    }
    assert np.allclose(run(kept, feeds)["y"], expected, rtol=1e-2, atol=1e-2)


def test_constants_that_become_zero_or_infinite() -> None:
    graph = model([node("Add", ["x", "eps"], "a"), node("Mul", ["a", "huge"], "m"), node("Add", ["m", "one"], "y")],
                  {"eps": np.float32(1e-12), "huge": np.float32(1e9), "one": np.float32(1)})  # fmt: skip
    found = {op.node: op.reason for op in float32_ops(graph, {})}
    assert set(found) == {"a_node", "m_node"}
    assert "zero in float16" in found["a_node"]
    bounded = model([node("Clip", ["x", "low", "high"], "y")], {"low": np.float32(0), "high": np.float32(3e38)})
    assert float32_ops(bounded, {}) == ()
