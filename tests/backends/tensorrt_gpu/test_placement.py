"""What TensorRT's tables quantize, and that our own graphs keep the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from light_models import LIGHT_MODELS, write_light_model
from onnx_graphs import model, node, weights
from plans import plan, prepared
from trt_engines import quantized, rtx

from zsq_export.backends.tensorrt_gpu.placement import INT4_BLOCK, TABLES
from zsq_export.backends.tensorrt_gpu.rules import check_rules
from zsq_export.graph.prepare import prepare_model
from zsq_export.planning.placement import place
from zsq_export.planning.plan import Plan, Role
from zsq_export.planning.schemes import Scheme
from zsq_export.quantization.dtypes import QuantDtype

W = {"w": weights(16, 3, 3, 3), "w16": weights(16, 16, 3, 3, seed=1), "b": weights(16), "few": weights(4, 16, 1, 1)}


def _reads(made: Plan) -> set[tuple[str, int]]:
    return {(use.node, use.input_index) for item in made.tensors for use in item.uses}


def _graph(nodes: list, **constants: np.ndarray) -> ir.Model:
    known = W | constants
    used = {name for item in nodes for name in item.input}
    return model(nodes, {name: array for name, array in known.items() if name in used})


def test_every_scheme_has_a_table_in_half_precision() -> None:
    assert set(TABLES) == {Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT, Scheme.FP16}
    assert all(table.half for table in TABLES.values())
    assert all(row.reason for table in TABLES.values() for row in table.rules)


def test_int8_is_symmetric_with_float_biases_and_half_scales() -> None:
    made = plan(_graph([node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "w16"], "y")]),
                TABLES[Scheme.INT8])  # fmt: skip
    assert _reads(made) == {("c_node", 0), ("c_node", 1), ("y_node", 0), ("y_node", 1)}
    for item in made.tensors:
        assert item.qparams.dtype is QuantDtype.INT8
        assert set(item.qparams.zero_point) == {0}
        assert (item.role is Role.WEIGHT) == (item.qparams.axis == 0)
        assert all(np.float32(np.float16(scale)) == np.float32(scale) for scale in item.qparams.scale)


def test_only_the_identity_branch_of_a_residual_is_quantized() -> None:
    graph = _graph([
        node("Conv", ["x", "w", "b"], "c"),
        node("Relu", ["c"], "r"),
        node("Conv", ["r", "w16"], "d", pads=[1, 1, 1, 1]),
        node("Add", ["d", "r"], "a"),
        node("Relu", ["a"], "y"),
    ])  # fmt: skip
    assert ("a_node", 1) in _reads(plan(graph, TABLES[Scheme.INT8]))
    assert ("a_node", 0) not in _reads(plan(graph, TABLES[Scheme.INT8]))


@pytest.mark.parametrize(("last", "expected"), [("w16", True), ("few", False)])
def test_an_average_is_quantized_between_two_quantized_layers_only(last: str, expected: bool) -> None:
    graph = _graph([
        node("Conv", ["x", "w"], "c"),
        node("GlobalAveragePool", ["c"], "g"),
        node("Conv", ["g", last], "y", pads=[1, 1, 1, 1] if last == "w16" else [0, 0, 0, 0]),
    ])  # fmt: skip
    made = plan(graph, TABLES[Scheme.INT8])
    assert (("g_node", 0) in _reads(made)) == expected
    scales = {item.tensor: item.qparams.scale for item in made.tensors}
    assert not expected or scales["c"] != scales["g"]


def test_small_layers_stay_float_but_for_the_first() -> None:
    table = TABLES[Scheme.INT8]
    graph = _graph([node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "few"], "y")])
    reasons = {op.node: op.reason for op in place(graph, table).float_ops}
    assert reasons == {"y_node": "it has fewer than 16 channels"}
    narrow = model([node("Conv", ["x", "u"], "c"), node("Conv", ["c", "v"], "y")],
                   {"u": weights(8, 3, 1, 1), "v": weights(8, 8, 3, 3)})  # fmt: skip
    assert not place(narrow, table).float_ops
    matrix = model([node("Gemm", ["x", "m"], "y")], {"m": weights(32, 10)}, inputs={"x": ("N", 32)})
    assert "fewer than 16 rows" in place(matrix, table).float_ops[0].reason


def test_attention_and_softmax_stay_float() -> None:
    graph = model([
        node("MatMul", ["x", "q"], "a"),
        node("Transpose", ["a"], "t", perm=[0, 2, 1]),
        node("MatMul", ["a", "t"], "s"),
        node("Softmax", ["s"], "p"),
        node("MatMul", ["p", "a"], "y"),
    ], {"q": weights(32, 32)}, inputs={"x": ("N", 8, 32)})  # fmt: skip
    assert _reads(plan(graph, TABLES[Scheme.INT8])) == {("a_node", 0), ("a_node", 1)}


def test_float8_has_one_scale_per_tensor_and_no_groups() -> None:
    graph = model([node("Conv", ["x", "w"], "c"), node("Conv", ["c", "g"], "y", group=16)],
                  {"w": weights(16, 3, 3, 3), "g": weights(16, 1, 3, 3)})  # fmt: skip
    made = plan(graph, TABLES[Scheme.FP8])
    assert {item.tensor for item in made.tensors} == {"x", "w"}
    assert {item.qparams.dtype for item in made.tensors} == {QuantDtype.FLOAT8E4M3FN}
    assert all(item.qparams.axis is None for item in made.tensors)
    assert made.scheme is Scheme.FP8


def test_four_bit_weights_come_in_blocks_along_the_rows_and_read_floats() -> None:
    graph = model([node("MatMul", ["x", "m"], "a"), node("Gemm", ["a", "n"], "y", transB=1)],
                  {"m": weights(128, 64), "n": weights(32, 64)}, inputs={"x": ("N", 128)})  # fmt: skip
    made = plan(graph, TABLES[Scheme.INT4_WEIGHT])
    found = {item.tensor: item.qparams for item in made.tensors}
    assert set(found) == {"m", "n"}
    assert (found["m"].axis, found["m"].block, len(found["m"].scale)) == (0, INT4_BLOCK, 128)
    assert (found["n"].axis, found["n"].block, len(found["n"].scale)) == (1, INT4_BLOCK, 32)
    odd = model([node("MatMul", ["x", "m"], "y")], {"m": weights(100, 64)}, inputs={"x": ("N", 100)})
    assert "blocks of 64" in place(odd, TABLES[Scheme.INT4_WEIGHT]).float_ops[0].reason


def test_fp16_quantizes_nothing() -> None:
    graph = _graph([node("Conv", ["x", "w"], "y")])
    made = plan(graph, TABLES[Scheme.FP16])
    assert (made.tensors, made.float_ops) == ((), ())


@pytest.mark.parametrize("name", LIGHT_MODELS)
@pytest.mark.parametrize("scheme", [Scheme.INT8, Scheme.FP8])
def test_our_graphs_of_real_architectures_keep_the_rules(name: str, scheme: Scheme, tmp_path: Path) -> None:
    ready = prepare_model(write_light_model(name, tmp_path))
    graph = ready.folded
    assert place(graph, TABLES[scheme]).weighted
    qdq, _ = quantized(graph, rtx(scheme))
    assert check_rules(qdq) == ()
    assert prepared(graph).folded is graph
