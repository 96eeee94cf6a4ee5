"""Plans survive JSON exactly; edits are checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_graphs import model, node, weights
from plans import entry, plan, prepared, table
from reports import make_search

from zsq_export.errors import PlanError
from zsq_export.planning.plan import BiasCorrection, Plan, Role, TensorPlan, Use
from zsq_export.planning.plan_json import check_plan, plan_from_json, plan_to_json
from zsq_export.planning.table import BiasRule, Scope
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

TABLE = table(Scope.INPUTS_AND_OUTPUT, BiasRule.INT32)
MODEL = model(
    [node("Conv", ["x", "w", "b"], "c", name="c"), node("Relu", ["c"], "r"), node("Sin", ["r"], "y")],
    {"w": weights(4, 3, 3, 3), "b": weights(4)},
)


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan(MODEL, TABLE, bias_correction=True)


def test_round_trip_is_exact(made: Plan) -> None:
    assert made.bias_corrections and made.float_ops
    assert plan_from_json(plan_to_json(made)) == made


_FLOATS = st.floats(float(np.finfo(np.float32).tiny), 2.0**100, width=32)


@given(scale=st.lists(_FLOATS, min_size=1, max_size=5), delta=st.lists(st.floats(-(2.0**100), 2.0**100, width=32)))
def test_every_float32_survives(scale: list[float], delta: list[float]) -> None:
    qparams = QParams(scale=tuple(scale), zero_point=(3,) * len(scale), dtype=QuantDtype.INT8, axis=1)
    item = TensorPlan(tensor='ö "1"', role=Role.WEIGHT, qparams=qparams, uses=(Use(node="n", input_index=1),))
    correction = BiasCorrection(node="n", delta=tuple(delta))
    before = Plan(
        target="t", model_sha256="", equalized=True, tensors=(item,), float_ops=(), bias_corrections=(correction,)
    )
    assert plan_from_json(plan_to_json(before)) == before


def test_the_steps_of_a_search_survive(made: Plan) -> None:
    searched = replace(made, search=make_search())
    assert plan_from_json(plan_to_json(searched)) == searched
    assert '"search"' not in plan_to_json(made)


def test_a_person_can_read_it(made: Plan) -> None:
    text = plan_to_json(made)
    assert max(map(len, text.splitlines())) < 200
    assert '"tensor": "x"' in text


def _edit(made: Plan, change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(plan_to_json(made))
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda raw: raw.pop("target"), r"\$\.target is missing"),
        (lambda raw: raw.update(tensor=[]), r"\$\.tensor is not a known key"),
        (lambda raw: raw["tensors"][0].update(scale="big"), r"\$\.tensors\[0\]\.scale is 'big', expected a number"),
        (lambda raw: raw["tensors"][0].update(scale=-1.0), r"\$\.tensors\[0\].*positive"),
        (lambda raw: raw["tensors"][0].update(scale=1e60), r"finite float32"),
        (lambda raw: raw["tensors"][0].update(dtype="int9"), r"\$\.tensors\[0\]\.dtype.*uint8"),
        (lambda raw: raw["tensors"][0].update(zero_point=1.5), r"expected an integer"),
        (lambda raw: raw["tensors"][0].update(zero_point=300), r"lies outside"),
        (lambda raw: raw["tensors"][0]["uses"][0].update(input=True), r"uses\[0\]\.input is True"),
        (lambda raw: raw.update(tensors={}), r"\$\.tensors is .* expected an array"),
        (lambda raw: raw.update(schema_version=99), "schema version 99"),
        (lambda raw: raw.update(equalized=1), "true or false"),
        (lambda raw: raw.update(search=[{"action": "guess"}]), r"\$\.search\[0\]\.agreement is missing"),
    ],
)
def test_a_malformed_plan_is_refused_with_its_place(made: Plan, change: Callable[..., object], place: str) -> None:
    with pytest.raises(PlanError, match=place):
        plan_from_json(_edit(made, change))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"plan"'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        plan_from_json(text)


def test_an_untouched_plan_is_accepted_as_it_is(made: Plan) -> None:
    assert check_plan(made, prepared(MODEL), TABLE) == made


def test_biases_follow_an_edited_scale(made: Plan) -> None:
    wider = replace(entry(made, "x").qparams, scale=(1.0,))
    tensors = tuple(replace(item, qparams=wider) if item.tensor == "x" else item for item in made.tensors)
    settled = check_plan(replace(made, tensors=tensors), prepared(MODEL), TABLE)
    assert entry(settled, "b").qparams.scale == entry(made, "w").qparams.scale


def test_a_deleted_input_takes_the_bias_along(made: Plan) -> None:
    kept = tuple(item for item in made.tensors if item.tensor != "x")
    settled = check_plan(replace(made, tensors=kept), prepared(MODEL), TABLE)
    assert [item.tensor for item in settled.tensors] == ["w", "r"]


def _changed(made: Plan, name: str, /, **changes: Any) -> Plan:
    return replace(made, tensors=tuple(replace(t, **changes) if t.tensor == name else t for t in made.tensors))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda p: replace(p, target="tensorrt"), "for target 'tensorrt'"),
        (lambda p: replace(p, model_sha256="1" * 64), "another file than test.onnx"),
        (lambda p: _changed(p, "x", tensor="z"), "no tensor 'z'"),
        (lambda p: _changed(p, "x", uses=(Use(node="d", input_index=0),)), "node 'd'"),
        (lambda p: _changed(p, "x", uses=(Use(node="c", input_index=1),)), "does not read tensor 'x'"),
        (lambda p: _changed(p, "x", uses=(Use(node="c", input_index=9),)), "does not read tensor 'x'"),
        (lambda p: _changed(p, "x", role=Role.WEIGHT), "computed at run time"),
        (lambda p: replace(p, tensors=p.tensors + p.tensors[:1]), "planned twice"),
        (
            lambda p: _changed(p, "x", qparams=QParams(scale=(1.0,), zero_point=(0,), dtype=QuantDtype.INT16)),
            "'x' is planned as int16",
        ),
        (
            lambda p: _changed(p, "w", qparams=replace(entry(p, "w").qparams, scale=(1.0,) * 3, zero_point=(0,) * 3)),
            "4 slices along axis 0, but 3 scales",
        ),
        (lambda p: replace(p, bias_corrections=(BiasCorrection(node="q", delta=(0.0,)),)), "no node 'q'"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(made: Plan, broken: Callable[[Plan], Plan], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        check_plan(broken(made), prepared(MODEL), TABLE)
