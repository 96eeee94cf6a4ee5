"""Mixed precision: measured sensitivities, an exact allocation, and the budget kept."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import model, node, random_feeds, weights
from plans import INT8, prepared, table

from zsq_export.errors import PlanError
from zsq_export.mixed.allocation import allocate
from zsq_export.mixed.choose import choose_layer_bits
from zsq_export.mixed.sensitivity import sensitivities
from zsq_export.planning import PlanOptions
from zsq_export.planning.options import Budget
from zsq_export.planning.table import Scope

WIDTHS = (3, 4, 8)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), average=st.floats(3.0, 8.0))
def test_the_allocation_is_the_best_of_all(seed: int, average: float) -> None:
    rng = np.random.default_rng(seed)
    costs = {f"l{i}": tuple(np.sort(rng.uniform(size=3))[::-1]) for i in range(5)}
    units = {name: int(rng.integers(1, 100)) for name in costs}
    found = allocate(costs, units, WIDTHS, average)
    total = sum(units.values())

    def price(bits: tuple[int, ...]) -> float:
        return sum(costs[name][WIDTHS.index(b)] for name, b in zip(costs, bits, strict=True))

    fitting = [
        bits
        for bits in itertools.product(WIDTHS, repeat=5)
        if sum(units[n] * b for n, b in zip(costs, bits, strict=True)) <= average * total * (1 + 1e-9)
    ]
    assert sum(units[name] * bits for name, bits in found.items()) <= average * total * (1 + 1e-6)
    assert price(tuple(found.values())) == pytest.approx(min(map(price, fitting)), abs=1e-4)


def test_too_small_a_budget_is_refused() -> None:
    with pytest.raises(PlanError, match=r"2\.5 bits"):
        allocate({"a": (1.0,)}, {"a": 1}, (3,), 2.5)


def _net():  # type: ignore[no-untyped-def]
    constants = {"w0": weights(8, 3, 3, 3), "w1": weights(8, 8, 1, 1), "w2": weights(4, 8, 3, 3)}
    nodes = [node("Conv", ["x", "w0"], "a"), node("Relu", ["a"], "r"), node("Conv", ["r", "w1"], "b"),
             node("Conv", ["b", "w2"], "y")]  # fmt: skip
    return model(nodes, constants, inputs={"x": ["n", 3, 12, 12]})


def test_fewer_bits_cost_more() -> None:
    graph = _net()
    layers = {item.name or "": INT8 for item in graph.graph if item.op_type == "Conv"}
    found = sensitivities(graph, layers, WIDTHS, random_feeds(graph, batch=4))
    assert all(costs[0] > costs[1] > costs[2] > 0 for costs in found.values())


@pytest.mark.parametrize("budget", list(Budget))
def test_a_budget_becomes_bits_of_layers(budget: Budget) -> None:
    graph = _net()
    rules = replace(table(Scope.INPUTS), weight_widths=frozenset(range(2, 9)))
    options = PlanOptions(average_bits=5.0, budget=budget)
    chosen = choose_layer_bits(prepared(graph), random_feeds(graph, batch=4), rules, options)
    assert len(chosen.layer_bits) == 3
    if budget is Budget.SIZE:
        sizes = {item.name: item.inputs[1].const_value.size for item in graph.graph if item.op_type == "Conv"}  # type: ignore[union-attr]
        used = sum(sizes[layer.node] * layer.weights for layer in chosen.layer_bits)
        assert used <= 5.0 * sum(sizes.values())


def test_it_needs_inputs() -> None:
    with pytest.raises(PlanError, match="holds none"):
        choose_layer_bits(prepared(_net()), {}, table(Scope.INPUTS), PlanOptions(average_bits=5.0))
