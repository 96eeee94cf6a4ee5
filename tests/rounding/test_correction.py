"""Biases are corrected once, for the integers that were chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx_graphs import model, node, random_feeds, weights
from plans import prepared, table

from zsq_export.execution.collect import collect_statistics
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.plan import BiasCorrection
from zsq_export.planning.table import Scope
from zsq_export.rounding.base import Rounded, RoundingRequest
from zsq_export.rounding.registry import round_weights

GRAPH = model([node("Conv", ["x", "w", "b"], "y")], {"w": weights(4, 3, 3, 3), "b": weights(4)})
FEEDS = random_feeds(GRAPH, batch=8)
STATISTICS = collect_statistics(GRAPH, FEEDS)


def _rounded(rounding: str, *, planned: bool, **request: Any) -> Rounded:
    options = PlanOptions(rounding=rounding, weights_bits=4, edge_bits=4, bias_correction=planned)
    rules = replace(table(Scope.INPUTS), weight_widths=frozenset({4}))
    plan = make_plan(prepared(GRAPH), STATISTICS, rules, options)
    whole = {"statistics": STATISTICS, "inputs": FEEDS, "steps": 2, **request}
    return round_weights(RoundingRequest(model=GRAPH, plan=plan, **whole))


@pytest.mark.parametrize("rounding", ["nearest", "squant", "gptq", "adaround"])
def test_a_plan_without_corrections_gets_those_that_one_with_corrections_ends_with(rounding: str) -> None:
    asked, planned = _rounded(rounding, planned=False, correct_biases=True), _rounded(rounding, planned=True)
    assert asked.plan.bias_corrections == planned.plan.bias_corrections != ()
    assert all(np.array_equal(asked.integers[name], planned.integers[name]) for name in planned.integers)


@pytest.mark.parametrize("rounding", ["nearest", "squant", "gptq"])
def test_nobody_who_does_not_want_them_gets_any(rounding: str) -> None:
    assert _rounded(rounding, planned=False).plan.bias_corrections == ()


def test_a_persons_corrections_of_the_nearest_stay_and_so_do_those_that_cannot_be_made_anew() -> None:
    plan = _rounded("nearest", planned=True).plan
    edited = replace(plan, bias_corrections=(BiasCorrection(node="y_node", delta=(1.0, 2.0, 3.0, 4.0)),))
    kept = round_weights(RoundingRequest(model=GRAPH, plan=edited, statistics=STATISTICS))
    assert kept.plan.bias_corrections == edited.bias_corrections
    bare = round_weights(RoundingRequest(model=GRAPH, plan=replace(edited, rounding="squant")))
    assert bare.plan.bias_corrections == edited.bias_corrections
