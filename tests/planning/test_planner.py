"""The arithmetic of a plan: ranges of groups, fixed outputs, corrected biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx_graphs import model, node, random_feeds, run, weights
from plans import entry, plan, prepared, table

from zsq_export.errors import PlanError
from zsq_export.execution.collect import collect_statistics
from zsq_export.passes.correct_bias import CorrectBias
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.table import BiasRule, FixedOutput, Scope

INPUTS = table(Scope.INPUTS)


def test_a_fixed_output_needs_no_statistics() -> None:
    graph = model([node("Sigmoid", ["x"], "s"), node("Conv", ["s", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    fixed = replace(INPUTS, fixed_outputs=(FixedOutput(op_type="Sigmoid", minimum=0.0, maximum=1.0),))
    qparams = entry(make_plan(prepared(graph), {}, fixed), "s").qparams
    assert qparams.scale[0] == pytest.approx(1 / 255) and qparams.zero_point == (0,)


def test_missing_statistics_name_the_tensor() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    with pytest.raises(PlanError, match="'x'"):
        make_plan(prepared(graph), {}, INPUTS)


def test_a_group_covers_the_union_of_its_ranges() -> None:
    constants = {"w1": weights(4, 3, 1, 1), "w2": 9 * weights(4, 3, 1, 1), "w3": weights(4, 8, 1, 1)}
    nodes = [
        node("Conv", ["x", "w1"], "a"),
        node("Conv", ["x", "w2"], "b"),
        node("Concat", ["a", "b"], "c", axis=1),
        node("Conv", ["c", "w3"], "y"),
    ]
    graph = model(nodes, constants)
    statistics = collect_statistics(graph, random_feeds(graph, batch=8))
    made = make_plan(prepared(graph), statistics, INPUTS)
    width = max(statistics[t].maximum for t in "ab") - min(statistics[t].minimum for t in "ab")
    assert entry(made, "a").qparams.scale[0] == pytest.approx(width / 255)


@pytest.mark.parametrize("group", [1, 3])
def test_corrected_biases_remove_the_mean_error(group: int) -> None:
    """Weights that all round down, inputs that are all positive: a shift that the correction takes back."""
    weight = np.full((6, 3 // group, 1, 1), 0.304, dtype=np.float32)
    weight[:, 0] = 1.0 if group == 1 else 0.304
    bias = node("Conv", ["a", "w", "b"], "y", name="y", group=group)
    graph = model([node("Abs", ["x"], "a"), bias], {"w": weight + weights(6, 1, 1, 1) * 0.01, "b": weights(6)})
    feeds = random_feeds(graph, batch=16)
    made = make_plan(prepared(graph), collect_statistics(graph, feeds), INPUTS, PlanOptions(bias_correction=True))
    reference = run(graph, feeds)["y"]

    def mean_error(corrected: bool) -> float:
        copy = graph.clone()
        if corrected:
            CorrectBias(made.bias_corrections)(copy)
        # Activations stay float, so that only the weights' error is seen.
        InsertQdq(replace(made, tensors=tuple(t for t in made.tensors if t.tensor == "w")))(copy)
        return float(np.abs((run(copy, feeds)["y"] - reference).mean(axis=(0, 2, 3))).max())

    assert mean_error(corrected=True) < 0.05 * mean_error(corrected=False) + 1e-6


def test_equal_arguments_give_equal_plans() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    assert plan(graph, INPUTS) == plan(graph, INPUTS)


@pytest.mark.parametrize("scope", list(Scope))
def test_the_quantized_model_is_close(scope: Scope) -> None:
    constants = {"w1": weights(8, 3, 3, 3), "b1": weights(8), "w2": weights(4, 8, 3, 3), "b2": weights(4)}
    nodes = [
        node("Conv", ["x", "w1", "b1"], "c"),
        node("Relu", ["c"], "r"),
        node("MaxPool", ["r"], "p", kernel_shape=[2, 2]),
        node("Conv", ["p", "w2", "b2"], "y"),
    ]
    graph = model(nodes, constants)
    feeds = random_feeds(graph, batch=8)
    quantized = graph.clone()
    InsertQdq(plan(graph, table(scope, BiasRule.INT32 if scope is not Scope.INPUTS else BiasRule.FLOAT)))(quantized)
    expected, found = run(graph, feeds)["y"], run(quantized, feeds)["y"]
    assert np.mean((expected - found) ** 2) < 1e-3 * np.mean(expected**2)
