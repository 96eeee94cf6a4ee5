"""The rule checker: each rule on a graph that breaks it, and on what ONNX Runtime's quantizer writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper
from onnx_graphs import node, proto, weights, write

from zsq_export.backends.tensorrt_gpu.rules import check_rules
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.saving import save_model
from zsq_export.inspection_of_qdq import inspect_qdq

SCALE, ZERO = np.float32(0.1), np.int8(0)
CONSTANTS = {
    "s": SCALE, "s2": np.float32(0.2), "z": ZERO, "z7": np.int8(7), "zu": np.uint8(128), "z0u": np.uint8(0),
    "sc": np.full(16, 0.1, np.float32), "zc": np.zeros(16, np.int8), "sx": np.full(3, 0.1, np.float32),
    "zx": np.zeros(3, np.int8), "w": np.ones((16, 3, 3, 3), np.int8), "v": np.ones((16, 16, 3, 3), np.int8),
    "few": np.ones((4, 16, 1, 1), np.int8), "sf": np.full(4, 0.1, np.float32), "zf": np.zeros(4, np.int8),
    "float_w": weights(16, 3, 3, 3), "b": np.ones(16, np.int32), "m": np.ones((32, 16), np.int8),
    "sm": np.full(32, 0.1, np.float32), "zm": np.zeros(32, np.int8),
}  # fmt: skip


def q(source: str, output: str, scale: str = "s", zero_point: str = "z", **attributes: int) -> list[onnx.NodeProto]:
    """A Q and DQ pair."""
    return [
        node("QuantizeLinear", [source, scale, zero_point], f"{output}_q", **attributes),
        node("DequantizeLinear", [f"{output}_q", scale, zero_point], output, **attributes),
    ]


def dq(source: str, output: str, scale: str = "sc", zero_point: str = "zc", axis: int = 0) -> onnx.NodeProto:
    """A constant weight."""
    return node("DequantizeLinear", [source, scale, zero_point], output, axis=axis)


FIRST = [*q("x", "xd"), dq("w", "wd"), node("Conv", ["xd", "wd"], "c", pads=[1, 1, 1, 1])]
SECOND = [dq("v", "vd"), node("Conv", ["rd", "vd"], "y", pads=[1, 1, 1, 1])]
CASES: dict[str, tuple[str, list[onnx.NodeProto]]] = {
    "type": ("xd_q_node", [*q("x", "xd", zero_point="z0u"), dq("w", "wd"), node("Conv", ["xd", "wd"], "y")]),
    "zero-point": ("xd_q_node", [*q("x", "xd", zero_point="z7"), dq("w", "wd"), node("Conv", ["xd", "wd"], "y")]),
    "activation-per-channel": (
        "xd_q_node", [*q("x", "xd", "sx", "zx", axis=1), dq("w", "wd"), node("Conv", ["xd", "wd"], "y")],
    ),
    "weight-per-tensor": ("y_node", [*q("x", "xd"), dq("w", "wd", "s", "z"), node("Conv", ["xd", "wd"], "y")]),
    "weight-axis": ("y_node", [*q("x", "xd"), dq("w", "wd", "sx", "zx", axis=1), node("Conv", ["xd", "wd"], "y")]),
    "bias-quantized": (
        "y_node", [*q("x", "xd"), dq("w", "wd"), node("DequantizeLinear", ["b", "s"], "bd"),
                   node("Conv", ["xd", "wd", "bd"], "y")],
    ),
    "half-quantized": ("y_node", [*q("x", "xd"), node("Conv", ["xd", "float_w"], "y")]),
    "before-activation": ("r_node", [*FIRST, *q("c", "cd"), node("Relu", ["cd"], "r"), *q("r", "rd"), *SECOND]),
    "residual-branch": (
        "a_node", [*FIRST, node("Relu", ["c"], "r"), *q("r", "rd"), dq("v", "vd"),
                   node("Conv", ["rd", "vd"], "d", pads=[1, 1, 1, 1]), *q("d", "dd"), node("Add", ["dd", "rd"], "a"),
                   node("Relu", ["a"], "y")],
    ),
    "weighted-output": ("cd_q_node", [*FIRST, *q("c", "cd"), node("Softmax", ["cd"], "y")]),
    "repeated-pair": (
        "r2_q_node", [*FIRST, node("Relu", ["c"], "r"), *q("r", "rd"), *q("r", "r2"), dq("v", "vd"),
                      node("Conv", ["rd", "vd"], "d", pads=[1, 1, 1, 1]), node("Add", ["d", "r2"], "y")],
    ),
    "concat-scales": (
        "k_node", [*q("x", "xd"), *q("x2", "x2d", "s2"), node("Concat", ["xd", "x2d"], "k", axis=1),
                   node("Relu", ["k"], "y")],
    ),
    "left-float": ("y_node", [*FIRST, node("Relu", ["c"], "r"), *q("r", "rd"), node("Sigmoid", ["rd"], "y")]),
    "attention": ("y_node", [*q("x", "xd"), *q("x2", "x2d"), node("MatMul", ["xd", "x2d"], "y")]),
    "few-channels": (
        "y_node", [*FIRST, node("Relu", ["c"], "r"), *q("r", "rd"), dq("few", "fd", "sf", "zf"),
                   node("Conv", ["rd", "fd"], "y")],
    ),
    "pool-not-between": (
        "y_node", [*FIRST, node("Relu", ["c"], "r"), *q("r", "rd"), node("GlobalAveragePool", ["rd"], "y")],
    ),
    "graph-output": ("y_node", [*FIRST, node("Relu", ["c"], "r"), *q("r", "y")]),
    "integer-operator": (
        "yq_node", [node("QuantizeLinear", ["x", "s", "z"], "xq"),
                   node("QLinearConv", ["xq", "s", "z", "w", "sc", "zc", "s", "z"], "yq"),
                   node("DequantizeLinear", ["yq", "s", "z"], "yd"), node("Relu", ["yd"], "y")],
    ),
}  # fmt: skip


def build(nodes: Sequence[onnx.NodeProto], opset: int = 17) -> ir.Model:
    used = {name for item in nodes for name in item.input}
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info(name, 1, ["N", 3, 8, 8]) for name in ("x", "x2")],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in CONSTANTS.items() if name in used],
    )  # fmt: skip
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))


@pytest.mark.parametrize("rule", CASES)
def test_each_rule_names_the_node_that_breaks_it(rule: str) -> None:
    wanted, nodes = CASES[rule]
    found = check_rules(build(nodes))
    assert wanted in {item.node for item in found if item.rule == rule}, found
    assert all(item.message and item.op_type for item in found)


def test_a_graph_by_the_rules_breaks_none() -> None:
    assert check_rules(build([*FIRST, node("Relu", ["c"], "r"), *q("r", "rd"), *SECOND])) == ()


def test_scales_per_channel_need_an_operator_set() -> None:
    found = check_rules(build([*FIRST, node("Relu", ["c"], "y")], opset=10))
    assert [item.rule for item in found].count("opset") == 3


def test_each_mistake_is_told_once_per_pair() -> None:
    _, nodes = CASES["zero-point"]
    assert [item.rule for item in check_rules(build(nodes))].count("zero-point") == 1


def _by_onnxruntime(float_model: Path, out: Path, size: int) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            name = onnx.load(float_model).graph.input[0].name
            self._feeds = iter([{name: np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)}])

        def get_next(self) -> dict | None:
            return next(self._feeds, None)

    quantize_static(float_model, out, Reader())
    return out


def _kinds(float_model: Path, folder: Path, size: int) -> Counter:
    folded = folder / "folded.onnx"
    save_model(prepare_model(float_model).folded, folded)
    quantized = _by_onnxruntime(folded, folder / "quantized.onnx", size)
    violations = inspect_qdq(quantized, ("tensorrt",)).targets[0].violations
    names = {item.name for item in onnx.load(quantized).graph.node}
    assert {item.node for item in violations} <= names
    return Counter(item.rule for item in violations)


def test_onnxruntime_breaks_five_rules_on_a_residual_network(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w0", "b0"], "c0", pads=[1, 1, 1, 1]),
        node("Relu", ["c0"], "r0"),
        node("Conv", ["r0", "w1", "b0"], "c1", pads=[1, 1, 1, 1]),
        node("Add", ["c1", "r0"], "a"),
        node("Relu", ["a"], "r1"),
        node("GlobalAveragePool", ["r1"], "g"),
        node("Flatten", ["g"], "f"),
        node("Gemm", ["f", "w2", "b2"], "y"),
    ]
    constants = {"w0": weights(16, 3, 3, 3), "b0": weights(16), "w1": weights(16, 16, 3, 3), "w2": weights(16, 10),
                 "b2": weights(10)}  # fmt: skip
    net = write(tmp_path, proto(nodes, constants, inputs={"x": ("N", 3, 32, 32)}), "net.onnx")
    assert len(_kinds(net, tmp_path, 32)) >= 5


@pytest.mark.slow
def test_onnxruntime_breaks_five_rules_on_efficientnet(efficientnet_lite0_path: Path, tmp_path: Path) -> None:
    kinds = _kinds(efficientnet_lite0_path, tmp_path, 224)
    assert {"zero-point", "bias-quantized", "weight-per-tensor", "residual-branch", "graph-output"} <= set(kinds)
