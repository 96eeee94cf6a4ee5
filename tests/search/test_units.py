"""What goes when a layer is left in float, and in which order that pays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import model, node, random_feeds, weights
from plans import plan, prepared, table

from zsq_export.errors import ModelError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.pipeline import insert_qdq
from zsq_export.planning.plan import Role
from zsq_export.planning.table import BiasRule, Scope
from zsq_export.rounding.base import Rounded
from zsq_export.search import noise as noise_module
from zsq_export.search.noise import spread_samples, tensor_noise
from zsq_export.search.units import Units, noise_left, order_of_gain

GRAPH = model(
    [
        node("Conv", ["x", "w0", "b0"], "c0", name="first", pads=[1, 1, 1, 1]),
        node("Relu", ["c0"], "r0", name="relu"),
        node("Conv", ["r0", "w1"], "c1", name="left", pads=[1, 1, 1, 1]),
        node("Conv", ["r0", "w2"], "c2", name="right", pads=[1, 1, 1, 1]),
        node("Add", ["c1", "c2"], "s", name="sum"),
        node("Conv", ["s", "w3"], "y", name="last"),
    ],
    {"w0": weights(4, 3, 3, 3), "b0": weights(4), "w1": weights(4, 4, 3, 3), "w2": weights(4, 4, 3, 3),
     "w3": weights(2, 4, 1, 1)},
)  # fmt: skip
BOTH = table(Scope.INPUTS_AND_OUTPUT, BiasRule.INT32)
INPUTS = table(Scope.INPUTS)
NAMES = ("first", "left", "right", "sum", "last")


def units(rules: object = BOTH) -> Units:
    return Units(plan(GRAPH, rules), GRAPH, rules)  # type: ignore[arg-type]


@pytest.mark.parametrize("rules", [BOTH, INPUTS])
def test_a_unit_is_a_layer_with_what_is_computed_inside_it(rules: object) -> None:
    found = units(rules).units
    assert tuple(found) == NAMES
    assert found["first"].nodes == ("first", "relu") and found["first"].macs == 8 * 8 * 4 * 3 * 9
    assert found["sum"].macs == 0 and found["sum"].elements == 4 * 8 * 8


def test_an_integer_op_writes_integers_for_whoever_reads_them() -> None:
    left = units().without({"left"}, "test")
    tensors = {item.tensor: item for item in left.tensors}
    assert "w1" not in tensors and {use.node for use in tensors["r0"].uses} == {"left", "right"}
    assert {use.node for use in tensors["c1"].uses} == {"sum"}, "the Add in integers reads it rounded"
    assert [op.node for op in left.float_ops] == ["left"] and left.float_ops[0].reason == "test"


def test_where_only_inputs_are_quantized_a_float_layer_reads_floats() -> None:
    tensors = {item.tensor: item for item in units(INPUTS).without({"left"}, "test").tensors}
    assert {use.node for use in tensors["r0"].uses} == {"right"} and "w1" not in tensors


def test_a_tensor_goes_with_all_that_read_or_write_it() -> None:
    whole = units()
    position = next(i for i, item in enumerate(whole.plan.tensors) if item.tensor == "r0")
    assert whole.needed(position) == {"first", "left", "right"}
    inputs_only = units(INPUTS)
    position = next(i for i, item in enumerate(inputs_only.plan.tensors) if item.tensor == "r0")
    assert inputs_only.needed(position) == {"left", "right"}


@settings(max_examples=32, deadline=None)
@given(left=st.sets(st.sampled_from(NAMES)), both=st.booleans())
def test_what_is_said_to_be_alive_is_what_the_plan_holds(left: set[str], both: bool) -> None:
    whole = units(BOTH if both else INPUTS)
    alive = {whole.plan.tensors[index].tensor for index in whole.alive(left)}
    assert alive == {item.tensor for item in whole.without(left, "test").tensors}


@settings(max_examples=16, deadline=None)
@given(left=st.sets(st.sampled_from(NAMES)), both=st.booleans())
def test_every_choice_is_a_model_that_runs(left: set[str], both: bool) -> None:
    made = units(BOTH if both else INPUTS).without(left, "test")
    feeds = random_feeds(GRAPH, batch=2)
    exact = OrtSession(GRAPH).run(feeds)["y"]
    found = OrtSession(insert_qdq(prepared(GRAPH), made)).run(feeds)["y"]
    error = float(np.abs(found - exact).max() / np.abs(exact).max())
    assert error < 1e-6 if left == set(NAMES) else error < 0.2


def test_the_noise_of_one_tensor_is_that_of_a_model_with_it_alone() -> None:
    whole = units()
    feeds = random_feeds(GRAPH, batch=4)
    found = tensor_noise(GRAPH, Rounded(plan=whole.plan), feeds)
    roles = {index: item.role for index, item in enumerate(whole.plan.tensors)}
    assert all((found[index] == 0) == (role is Role.BIAS) for index, role in roles.items())
    exact = OrtSession(GRAPH).run(feeds)["y"]
    only = whole.without(set(NAMES) - {"last"}, "test")
    alive = [i for i in whole.alive(set(NAMES) - {"last"})]
    measured = np.mean((OrtSession(insert_qdq(prepared(GRAPH), only)).run(feeds)["y"] - exact) ** 2) / exact.var()
    assert sum(found[i] for i in alive) == pytest.approx(measured, rel=0.3)


def test_noise_run_from_where_a_tensor_is_read_is_that_of_the_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ModelError("no gradients here")

    whole, feeds = Rounded(plan=units().plan), random_feeds(GRAPH, batch=4)
    found = tensor_noise(GRAPH, whole, feeds)
    monkeypatch.setattr(noise_module, "_InTorch", refused)
    assert found == pytest.approx(tensor_noise(GRAPH, whole, feeds), rel=1e-2)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), both=st.booleans())
def test_the_order_takes_noise_away_until_nothing_is_left(data: st.DataObject, both: bool) -> None:
    whole = units(BOTH if both else INPUTS)
    noise = {i: data.draw(st.floats(0, 1)) for i in range(len(whole.plan.tensors))}
    costs = {name: data.draw(st.floats(1e-3, 1)) for name in NAMES}
    order = order_of_gain(whole, noise, costs)
    left = [noise_left(whole, noise, chosen) for chosen in order]
    assert order[0] == frozenset() and order[-1] == frozenset(NAMES) and left[-1] == 0
    assert all(a < b for a, b in itertools.pairwise(order))
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(left))


def test_the_cheapest_fidelity_comes_first() -> None:
    whole = units()
    weight = next(i for i, item in enumerate(whole.plan.tensors) if item.tensor == "w3")
    other = next(i for i, item in enumerate(whole.plan.tensors) if item.tensor == "w1")
    costs = dict.fromkeys(NAMES, 1.0)
    assert order_of_gain(whole, {weight: 1.0, other: 0.5}, costs)[1] == {"last"}
    assert order_of_gain(whole, {weight: 1.0, other: 0.5}, costs | {"last": 4.0})[1] == {"left"}


def test_samples_of_every_set_take_part() -> None:
    sets = [{"x": np.full((5, 2), value, np.float32)} for value in (1, 2, 3)]
    assert spread_samples(sets, 6)["x"][:, 0].tolist() == [1, 1, 2, 2, 3, 3]
