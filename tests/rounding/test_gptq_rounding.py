"""Rounding gptq through the pipeline's own steps."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx_graphs import model, node, run, weights
from plans import prepared, table

from zsq_export.errors import PlanError
from zsq_export.execution.collect import collect_statistics
from zsq_export.pipeline import insert_qdq
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.table import Scope
from zsq_export.rounding.base import Rounded, RoundingRequest
from zsq_export.rounding.registry import round_weights

Feeds = dict[str, np.ndarray]


def correlated(samples: int, *shape: int) -> Feeds:
    """Channels and places that say nearly the same, about a mean that is not zero."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((samples, *(1 for _ in shape)))
    return {"x": (1 + common + 0.1 * rng.standard_normal((samples, *shape))).astype(np.float32)}


def rounded(graph: ir.Model, feeds: Feeds, rounding: str) -> Rounded:
    options = PlanOptions(rounding=rounding)
    made = make_plan(prepared(graph), collect_statistics(graph, feeds), table(Scope.INPUTS), options)
    statistics = collect_statistics(graph, feeds)
    return round_weights(RoundingRequest(model=graph, plan=made, statistics=statistics, inputs=feeds))


def weight_error(graph: ir.Model, feeds: Feeds, rounding: str) -> float:
    """Mean squared error of the output when only the weights are integers."""
    found = rounded(graph, feeds, rounding)
    kept = [item for item in found.plan.tensors if item.tensor != "x"]
    plan = type(found.plan)(**{**vars(found.plan), "tensors": tuple(kept)})
    quantized = insert_qdq(prepared(graph), plan, found.integers)
    return float(np.mean((run(quantized, feeds)["y"] - run(graph, feeds)["y"]) ** 2))


CASES = {
    "convolution": ([node("Conv", ["x", "w", "b"], "y", pads=[1, 1, 1, 1])], (8, 16, 3, 3), (16, 8, 8)),
    "depthwise": ([node("Conv", ["x", "w", "b"], "y", group=16)], (16, 1, 3, 3), (16, 8, 8)),
    "Gemm": ([node("Gemm", ["x", "w", "b"], "y")], (32, 8), (32,)),
    "Gemm, transposed": ([node("Gemm", ["x", "w", "b"], "y", transB=1)], (8, 32), (32,)),
    "MatMul": ([node("MatMul", ["x", "w"], "y")], (32, 8), (32,)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_output_is_nearer_than_with_nearest_integers(case: str) -> None:
    nodes, shape, sides = CASES[case]
    constants = {"w": weights(*shape), "b": weights(16 if case == "depthwise" else 8)}
    graph = model(nodes, constants, inputs={"x": ("N", *sides)})
    feeds = correlated(64, *sides)
    assert weight_error(graph, feeds, "gptq") < 0.6 * weight_error(graph, feeds, "nearest")


def test_weights_it_cannot_treat_go_to_the_nearest() -> None:
    nodes = [
        node("Conv", ["x", "w"], "a", name="same", auto_pad="SAME_UPPER"),
        node("Conv", ["a", "v"], "b", name="c1"),
        node("Conv", ["b", "v"], "y", name="c2"),
    ]
    graph = model(nodes, {"w": weights(4, 4, 3, 3), "v": weights(4, 4, 1, 1)}, inputs={"x": ("N", 4, 6, 6)})
    assert rounded(graph, correlated(8, 4, 6, 6), "gptq").integers == {}


def test_without_inputs_it_says_so() -> None:
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": weights(6, 3)}, inputs={"x": ("N", 6)})
    made = make_plan(
        prepared(graph), collect_statistics(graph, correlated(8, 6)), table(Scope.INPUTS), PlanOptions(rounding="gptq")
    )
    with pytest.raises(PlanError, match="holds no inputs"):
        round_weights(RoundingRequest(model=graph, plan=made))
