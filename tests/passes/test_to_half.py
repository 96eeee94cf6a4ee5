"""Conversion to float16, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper
from onnx_graphs import model, node, random_feeds, run, weights
from plans import INT8, plan, table

from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.saving import serialize_model
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.passes.to_half import ToHalf
from zsq_export.planning.table import Scope
from zsq_export.quantization.metrics import sqnr_db

NODES = [node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "y")]
CONSTANTS = {"w": weights(16, 3, 3, 3), "b": weights(16), "v": weights(16, 16, 3, 3)}


def converted(graph: ir.Model, *float32: str) -> ir.Model:
    copy = graph.clone()
    ToHalf(float32)(copy)
    return copy


def types(graph: ir.Model) -> dict[str, ir.DataType | None]:
    return {node.name or "": node.outputs[0].dtype for node in graph.graph}


def close(graph: ir.Model, half: ir.Model, decibels: float = 50) -> None:
    feeds = random_feeds(graph)
    expected, found = run(graph, feeds), run(half, feeds)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert sqnr_db(array, found[name]) > decibels


def test_everything_is_half_but_inputs_and_outputs() -> None:
    graph = model(NODES, CONSTANTS)
    half = converted(graph)
    assert {value.dtype for value in (*half.graph.inputs, *half.graph.outputs)} == {ir.DataType.FLOAT}
    assert [value.name for value in half.graph.outputs] == ["y"]
    assert {value.dtype for value in half.graph.initializers.values()} == {ir.DataType.FLOAT16}
    assert [item.op_type for item in half.graph].count("Cast") == 2
    close(graph, half)


def test_named_nodes_stay_in_float32() -> None:
    graph = model(NODES, CONSTANTS)
    half = converted(graph, "c_node")
    assert types(half)["c_node"] == ir.DataType.FLOAT
    assert types(half)["y_node"] == ir.DataType.FLOAT16
    assert half.graph.initializers["w"].dtype == ir.DataType.FLOAT
    close(graph, half)


def test_a_quantized_model_keeps_its_integers() -> None:
    graph = model(NODES, CONSTANTS)
    InsertQdq(plan(graph, table(Scope.INPUTS)))(graph)
    half = converted(graph)
    stored = {name: value for name, value in half.graph.initializers.items() if name.endswith("_quantized")}
    assert {value.dtype for value in stored.values()} == {ir.DataType.INT8}
    scales = {
        item.name: item.inputs[1].dtype for item in half.graph if item.op_type in ("QuantizeLinear", "DequantizeLinear")
    }
    assert scales["x_QuantizeLinear"] == ir.DataType.FLOAT, "the input is quantized as it comes"
    assert {dtype for name, dtype in scales.items() if name != "x_QuantizeLinear"} == {ir.DataType.FLOAT16}
    assert half.opset_imports[""] >= 19
    close(graph, half, 25)
    assert INT8.narrow_range


def test_a_constant_of_two_types_is_stored_twice() -> None:
    graph = model([node("Add", ["x", "k"], "a"), node("Mul", ["a", "k"], "y")], {"k": weights(1, 3, 1, 1)})
    half = converted(graph, "a_node")
    assert sorted(value.dtype.name for value in half.graph.initializers.values()) == ["FLOAT", "FLOAT16"]
    close(graph, half)


def test_slots_that_are_float32_by_definition_stay_so() -> None:
    graph = model([node("Resize", ["x", "", "up"], "r", mode="nearest"), node("Relu", ["r"], "y")],
                  {"up": np.array([1, 1, 2, 2], np.float32)})  # fmt: skip
    half = converted(graph)
    assert half.graph.initializers["up"].dtype == ir.DataType.FLOAT
    assert types(half)["r_node"] == ir.DataType.FLOAT16
    close(graph, half)


def test_floats_of_integers_stay_float32() -> None:
    graph = model([node("Shape", ["x"], "s"), node("Cast", ["s"], "f", to=1), node("ReduceMax", ["f"], "m", keepdims=0),
                   node("Add", ["x", "m"], "y")])  # fmt: skip
    half = converted(graph)
    assert types(half)["f_node"] == ir.DataType.FLOAT
    close(graph, half)


def test_finite_constants_stay_finite() -> None:
    graph = model([node("Clip", ["x", "low", "high"], "y")],
                  {"low": np.float32(-3e38), "high": np.float32(0.5)})  # fmt: skip
    half = converted(graph)
    low = next(value for name, value in half.graph.initializers.items() if name.startswith("low"))
    assert np.isfinite(low.const_value.numpy())
    close(graph, half)


def test_an_output_that_other_nodes_read_keeps_its_name() -> None:
    graph = model([node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "y")], CONSTANTS | {}, outputs=("c", "y"))
    close(graph, converted(graph))


def test_sub_graphs_are_refused_by_name() -> None:
    branch = helper.make_graph(
        [node("Relu", ["x"], "inner")], "b", [], [helper.make_tensor_value_info("inner", 1, None)]
    )
    graph = model([node("If", ["flag"], "y", then_branch=branch, else_branch=branch)], {"flag": np.bool_(True)})
    with pytest.raises(UnsupportedOpError, match="'y_node'"):
        converted(graph)


def test_the_same_model_gives_the_same_bytes() -> None:
    graph = model(NODES, CONSTANTS)
    assert serialize_model(converted(graph)) == serialize_model(converted(graph))
