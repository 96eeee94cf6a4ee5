"""Bits: which layer gets how many, and that the QDQ model in ONNX Runtime computes with exactly those."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from onnx_graphs import model, node, random_feeds, run, weights
from plans import entry, prepared, table

from zsq_export.errors import UsageError
from zsq_export.execution.collect import collect_statistics
from zsq_export.execution.ort_session import OrtSession
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.options import FLOAT_BITS, LayerBits
from zsq_export.planning.plan import Plan, Role
from zsq_export.planning.plan_json import plan_from_json, plan_to_json
from zsq_export.planning.table import BiasRule, Scope
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.linear import fake_quantize

ANY_WIDTH = replace(
    table(Scope.INPUTS),
    weight_widths=frozenset(range(2, 9)),
    activation_widths=frozenset({*range(2, 9), FLOAT_BITS}),
)


def _chain() -> ir.Model:
    constants = {f"w{i}": weights(4, 3 if i == 0 else 4, 3, 3) for i in range(3)}
    nodes = [
        node("Conv", ["x", "w0"], "a", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], "r"),
        node("Conv", ["r", "w1"], "b", pads=[1, 1, 1, 1]),
        node("Conv", ["b", "w2"], "y", pads=[1, 1, 1, 1]),
    ]
    return model(nodes, constants)


def _plan(graph: ir.Model, rules=ANY_WIDTH, **options) -> Plan:  # type: ignore[no-untyped-def]
    statistics = collect_statistics(graph, random_feeds(graph, batch=4))
    return make_plan(prepared(graph), statistics, rules, PlanOptions(bias_correction=False, **options))


def test_edges_keep_eight_bits() -> None:
    made = _plan(_chain(), weights_bits=4, activations_bits=3)
    assert {name: entry(made, name).qparams.width for name in ("w0", "w1", "w2")} == {"w0": 8, "w1": 4, "w2": 8}
    assert {name: entry(made, name).qparams.width for name in ("x", "r", "b")} == {"x": 8, "r": 3, "b": 8}


def test_what_the_last_layer_writes_keeps_eight_bits_up_to_the_output() -> None:
    nodes = [
        node("Conv", ["x", "w0"], "a"),
        node("Conv", ["a", "w1"], "scores"),
        node("Reshape", ["scores", "shape"], "y"),
    ]
    constants = {"w0": weights(4, 3, 3, 3), "w1": weights(4, 4, 3, 3), "shape": np.array([0, -1])}
    rules = replace(ANY_WIDTH, rules=table(Scope.INPUTS_AND_OUTPUT, BiasRule.INT32).rules)
    made = _plan(model(nodes, constants), rules, weights_bits=4, activations_bits=4)
    assert entry(made, "scores").qparams.width == 8


def test_edges_can_be_narrow_too_and_layers_be_excepted() -> None:
    graph = _chain()
    names = [item.name or "" for item in graph.graph if item.op_type == "Conv"]
    layers = (LayerBits(node=names[1], weights=6, activations=5),)
    made = _plan(graph, weights_bits=3, activations_bits=3, edge_bits=2, layer_bits=layers)
    assert [entry(made, f"w{i}").qparams.width for i in range(3)] == [3, 6, 3]
    assert [entry(made, name).qparams.width for name in ("x", "r", "b")] == [3, 5, 3]


def test_float_activations_leave_only_weights() -> None:
    made = _plan(_chain(), replace(ANY_WIDTH, rules=table(Scope.INPUTS_AND_OUTPUT, BiasRule.INT32).rules),
                 weights_bits=4, activations_bits=FLOAT_BITS)  # fmt: skip
    assert {item.role for item in made.tensors} == {Role.WEIGHT}


def test_a_target_refuses_what_it_does_not_run() -> None:
    with pytest.raises(UsageError, match="4-bit weights"):
        _plan(_chain(), table(Scope.INPUTS), weights_bits=4)
    with pytest.raises(UsageError, match="float activations"):
        _plan(_chain(), table(Scope.INPUTS), activations_bits=FLOAT_BITS)
    with pytest.raises(UsageError, match="no weighted node"):
        _plan(_chain(), layer_bits=(LayerBits(node="nobody", weights=4),))


@pytest.mark.parametrize("scope", [Scope.INPUTS, Scope.INPUTS_AND_OUTPUT])
@pytest.mark.parametrize("bits", range(2, 9))
def test_onnx_runtime_computes_with_the_planned_integers(bits: int, scope: Scope) -> None:
    """The quantized tensors of the QDQ model against our own arithmetic, tap by tap."""
    graph = _chain()
    rules = replace(ANY_WIDTH, rules=table(scope, BiasRule.INT32).rules)
    made = _plan(graph, rules, weights_bits=bits, activations_bits=bits, edge_bits=2)
    chosen = [item.qparams for item in made.tensors if item.role is not Role.BIAS]
    assert {qparams.width for qparams in chosen} == {bits}
    if bits == 4:
        assert {qparams.dtype for qparams in chosen} == {QuantDtype.INT4, QuantDtype.UINT4}
    feeds = {name: 3 * value for name, value in random_feeds(graph, batch=2).items()}
    quantized = graph.clone()
    InsertQdq(made)(quantized)
    taps = ["x", "r", "r_dequantized", "x_dequantized"]
    seen = OrtSession(quantized, taps=taps, optimize=False).run(feeds)
    for name in ("x", "r"):
        expected = fake_quantize(seen[name], entry(made, name).qparams)
        np.testing.assert_array_equal(seen[f"{name}_dequantized"], expected)
        assert len(np.unique(seen[f"{name}_dequantized"])) <= 2**bits
    step = entry(made, "y").qparams.scale[0] if scope is Scope.INPUTS_AND_OUTPUT else 1e-4
    np.testing.assert_allclose(run(quantized, feeds, optimize=True)["y"], seen["y"], atol=1.01 * step)


def test_the_plan_keeps_widths_in_its_file() -> None:
    made = replace(_plan(_chain(), weights_bits=3, activations_bits=6), rounding="squant")
    assert plan_from_json(plan_to_json(made)) == made
