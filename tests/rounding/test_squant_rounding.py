"""Rounding methods through the pipeline's own steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx_graphs import model, node, random_feeds, run, weights
from plans import prepared, table

from zsq_export.errors import UsageError
from zsq_export.execution.collect import collect_statistics
from zsq_export.pipeline import insert_qdq
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.table import Scope
from zsq_export.rounding.base import RoundingRequest
from zsq_export.rounding.registry import round_weights, rounding_names


def test_the_methods_are_registered() -> None:
    assert {"nearest", "squant", "adaround"} <= set(rounding_names())


def test_an_unknown_method_gets_the_nearest_name() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    made = make_plan(prepared(graph), _statistics(graph), table(Scope.INPUTS), PlanOptions(rounding="squaant"))
    with pytest.raises(UsageError, match="squaant") as raised:
        round_weights(RoundingRequest(model=graph, plan=made))
    assert "squant" in (raised.value.hint or "")


def _statistics(graph):  # type: ignore[no-untyped-def]
    return collect_statistics(graph, random_feeds(graph, batch=8))


def test_squant_lowers_the_error_on_inputs_with_a_mean() -> None:
    graph = model(
        [node("Conv", ["x", "w"], "y", pads=[1, 1, 1, 1])], {"w": weights(8, 3, 3, 3)}, inputs={"x": ["n", 3, 8, 8]}
    )
    rules = replace(table(Scope.INPUTS), weight_widths=frozenset({3}))
    feeds = {"x": np.ones((1, 3, 8, 8), np.float32)}
    errors = {}
    for rounding in ("nearest", "squant"):
        options = PlanOptions(weights_bits=3, edge_bits=2, bias_correction=False, rounding=rounding)
        made = make_plan(prepared(graph), _statistics(graph), rules, options)
        rounded = round_weights(RoundingRequest(model=graph, plan=made))
        quantized = insert_qdq(prepared(graph), rounded.plan, rounded.integers)
        error = (run(quantized, feeds)["y"] - run(graph, feeds)["y"])[..., 1:-1, 1:-1]
        errors[rounding] = float(np.abs(error).mean())
    assert errors["squant"] < 0.5 * errors["nearest"]
