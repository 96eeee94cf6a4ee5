"""Shape arithmetic dies, the batch stays dynamic."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_graphs import assert_close, assert_pass_keeps_outputs, model, node, op_types, run, weights

from zsq_export.passes.fold_constants import FoldConstants
from zsq_export.passes.settle_shapes import SettleShapes

I64 = np.int64
K = {
    "zero": np.array(0, I64),
    "one": np.array(1, I64),
    "two": np.array(2, I64),
    "start": np.array([0], I64),
    "minus": np.array([-1], I64),
    "end": np.array([2], I64),
    "four": np.array([4], I64),
    "square": np.array([64], I64),
}


def _dims(*indices: str) -> list[onnx.NodeProto]:
    nodes = [node("Shape", ["x"], "shape")]
    for index in indices:
        nodes += [
            node("Gather", ["shape", index], f"d_{index}"),
            node("Unsqueeze", [f"d_{index}", "start"], f"u_{index}"),
        ]
    return nodes


CASES = {
    "flatten": [*_dims("zero"), node("Concat", ["u_zero", "minus"], "t", axis=0), node("Reshape", ["x", "t"], "r")],
    "merge batch": [
        *_dims("zero", "one"),
        node("Mul", ["u_zero", "u_one"], "m"),
        node("Concat", ["m", "square"], "t", axis=0),
        node("Reshape", ["x", "t"], "r"),
    ],
    "slice": [
        *_dims(),
        node("Slice", ["shape", "start", "end"], "s"),
        node("Concat", ["s", "minus"], "t", axis=0),
        node("Reshape", ["x", "t"], "r"),
    ],
    "divided": [
        *_dims("zero", "two"),
        node("Div", ["u_two", "four"], "q"),
        node("Concat", ["u_zero", "minus", "q"], "t", axis=0),
        node("Reshape", ["x", "t"], "r"),
    ],
    "where": [
        *_dims("zero"),
        node("Concat", ["u_zero", "minus"], "c", axis=0),
        node("Equal", ["c", "twice"], "e"),
        node("Where", ["e", "ones", "c"], "v"),
        node("Concat", ["u_zero", "minus"], "t", axis=0),
        node("Reshape", ["x", "t"], "r"),
        node("Expand", ["bias", "v"], "w"),
        node("Add", ["r", "w"], "s"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_reshape_target_becomes_constant(case: str) -> None:
    nodes = [*CASES[case]]
    nodes.append(node("Neg", [nodes[-1].output[0]], "y"))
    constants = {**K, "twice": np.array([-1, -1], I64), "ones": np.ones(2, I64), "bias": weights(1, 192)}
    built = model(nodes, constants)
    assert_pass_keeps_outputs(built, SettleShapes(), 0)
    FoldConstants()(built)
    assert [item.op_type for item in built.graph if item.op_type == "Reshape"] == ["Reshape"]
    reshape = next(item for item in built.graph if item.op_type == "Reshape")
    assert reshape.inputs[1] is not None and reshape.inputs[1].is_initializer()
    for batch in (1, 5):
        feeds = {"x": weights(batch, 3, 8, 8)}
        assert_close(run(model(nodes, constants), feeds), run(built, feeds), 0)


def test_static_dimensions_are_folded_and_shapes_known_behind() -> None:
    built = model(
        [*_dims("two"), node("Cast", ["d_two"], "f", to=1), node("Sqrt", ["f"], "q"), node("Div", ["x", "q"], "y")], K
    )
    SettleShapes()(built)
    FoldConstants()(built)
    assert op_types(built) == ["Div"]


def test_two_dynamic_dimensions_are_copied() -> None:
    nodes = [
        *_dims("zero", "one", "two"),
        node("Concat", ["u_zero", "u_one", "minus"], "t", axis=0),
        node("Reshape", ["x", "t"], "y"),
    ]
    built = model(nodes, K, inputs={"x": ("N", 3, "H", "W")})
    feeds = {"x": weights(2, 3, 4, 5)}
    expected = run(built, feeds)
    SettleShapes()(built)
    assert_close(expected, run(built, feeds), 0)


def test_a_computed_target_of_two_free_dimensions_stays() -> None:
    nodes = [
        *_dims("zero", "two"),
        node("Concat", ["u_two", "u_zero", "minus"], "t", axis=0),
        node("Reshape", ["x", "t"], "y"),
    ]
    built = model(nodes, K, inputs={"x": ("N", 3, "H", 4)})
    feeds = {"x": weights(2, 3, 5, 4)}
    expected = run(built, feeds)
    SettleShapes()(built)
    FoldConstants()(built)
    assert_close(expected, run(built, feeds), 0)
    assert "Concat" in op_types(built)


def test_large_constant_expressions_are_folded() -> None:
    big = weights(300, 200)
    built = model(
        [node("Transpose", ["w"], "t", perm=[1, 0]), node("MatMul", ["x", "t"], "y")],
        {"w": big},
        inputs={"x": ("N", 200)},
    )
    assert_pass_keeps_outputs(built, FoldConstants())
    assert op_types(built) == ["MatMul"]


def test_random_numbers_are_not_folded() -> None:
    built = model(
        [node("RandomNormal", [], "r", shape=[3]), node("Mul", ["r", "k"], "m"), node("Add", ["x", "m"], "y")],
        {"k": np.zeros(3, np.float32)},
        inputs={"x": ("N", 3)},
    )
    FoldConstants()(built)
    assert "RandomNormal" in op_types(built)
