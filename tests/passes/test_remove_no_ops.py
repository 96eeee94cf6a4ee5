"""Nodes that compute nothing, and their look-alikes that do."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx_graphs import assert_pass_keeps_outputs, model, node, op_types, weights

from zsq_export.passes.remove_no_ops import RemoveNoOps

I64 = np.int64
CASES = {
    "identity": (node("Identity", ["a"], "b"), {}),
    "dropout": (node("Dropout", ["a"], "b"), {}),
    "cast": (node("Cast", ["a"], "b", to=1), {}),
    "pad": (node("Pad", ["a", "k"], "b"), {"k": np.zeros(8, I64)}),
    "transpose": (node("Transpose", ["a"], "b", perm=[0, 1, 2, 3]), {}),
    "concat": (node("Concat", ["a"], "b", axis=1), {}),
    "sum": (node("Sum", ["a"], "b"), {}),
    "reshape": (node("Reshape", ["a", "k"], "b"), {"k": np.array([0, 3, 8, 8], I64)}),
    "slice": (
        node("Slice", ["a", "k", "l", "m"], "b"),
        {"k": np.array([0], I64), "l": np.array([2**62], I64), "m": np.array([1], I64)},
    ),
    "tile": (node("Tile", ["a", "k"], "b"), {"k": np.ones(4, I64)}),
    "times one": (node("Mul", ["a", "k"], "b"), {"k": np.float32(1)}),
    "plus zero": (node("Add", ["a", "k"], "b"), {"k": np.zeros((1, 1), np.float32)}),
}
LOOK_ALIKES = {
    "reversed slice": (
        node("Slice", ["a", "k", "l", "m", "n"], "b"),
        {"k": np.array([-1], I64), "l": np.array([-(2**62)], I64), "m": np.array([2], I64), "n": np.array([-1], I64)},
    ),
    "transpose": (node("Transpose", ["a"], "b", perm=[0, 1, 3, 2]), {}),
    "cast": (node("Cast", ["a"], "b", to=11), {}),
    "one that widens": (node("Mul", ["a", "k"], "b"), {"k": np.ones((1, 1, 1, 1, 1), np.float32)}),
    "half": (node("Mul", ["a", "k"], "b"), {"k": np.float32(0.5)}),
    "flat reshape": (node("Reshape", ["a", "k"], "b"), {"k": np.array([0, 8, 3, 8], I64)}),
}


@pytest.mark.parametrize("case", CASES)
def test_removed(case: str) -> None:
    middle, constants = CASES[case]
    built = model([node("Relu", ["x"], "a"), middle, node("Neg", ["b"], "y")], constants)
    assert_pass_keeps_outputs(built, RemoveNoOps())
    assert op_types(built) == ["Relu", "Neg"] and not built.graph.initializers


@pytest.mark.parametrize("case", LOOK_ALIKES)
def test_kept(case: str) -> None:
    middle, constants = LOOK_ALIKES[case]
    built = model([node("Relu", ["x"], "a"), middle, node("Cast", ["b"], "y", to=1)], constants)
    assert_pass_keeps_outputs(built, RemoveNoOps())
    assert middle.op_type in op_types(built)


def test_graph_outputs_keep_their_names() -> None:
    built = model([node("Relu", ["x"], "a"), node("Identity", ["a"], "y")])
    assert_pass_keeps_outputs(built, RemoveNoOps())
    assert op_types(built) == ["Relu"] and built.graph.outputs[0].name == "y"


def test_two_outputs_of_one_tensor_stay_two() -> None:
    built = model([node("Relu", ["x"], "a"), node("Identity", ["a"], "y")], outputs=("a", "y"))
    assert_pass_keeps_outputs(built, RemoveNoOps())
    assert [value.name for value in built.graph.outputs] == ["a", "y"]


def test_an_input_as_output_stays_behind_a_node() -> None:
    built = model([node("Dropout", ["x"], "y")])
    assert_pass_keeps_outputs(built, RemoveNoOps())
    assert op_types(built) == ["Identity"]


def test_a_constant_as_output_stays() -> None:
    built = model([node("Identity", ["k"], "y"), node("Relu", ["x"], "z")], {"k": weights(3)}, outputs=("y", "z"))
    assert_pass_keeps_outputs(built, RemoveNoOps())


def test_dropout_whose_mask_is_read_stays() -> None:
    dropout = helper.make_node("Dropout", ["x"], ["a", "mask"], name="drop")
    built = model([dropout, node("Where", ["mask", "a", "x"], "y")])
    assert_pass_keeps_outputs(built, RemoveNoOps())
    assert "Dropout" in op_types(built)


def test_dropout_in_training_mode_goes() -> None:
    built = model(
        [node("Dropout", ["x", "ratio", "training"], "a"), node("Neg", ["a"], "y")],
        {"ratio": np.float32(0.5), "training": np.array(True)},
    )
    RemoveNoOps()(built)
    assert op_types(built) == ["Neg"] and not built.graph.initializers
