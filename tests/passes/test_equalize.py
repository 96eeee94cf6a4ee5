"""Cross-layer equalization leaves the outputs and brings the ranges together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import assert_pass_keeps_outputs, model, node, op_types, weights

from zsq_export.graph.topology import float_weight
from zsq_export.passes.equalize import ClipRule, Equalize

UNEVEN = np.logspace(-2, 1, 6).astype(np.float32)


def _ranges(item: ir.Node, axis: int) -> np.ndarray:
    weight = float_weight(item)
    assert weight is not None
    return np.abs(np.moveaxis(weight, axis, 0)).reshape(weight.shape[axis], -1).max(axis=1)


def _pair(middle: list[onnx.NodeProto], *, groups: int = 1, extra: dict[str, Any] | None = None) -> ir.Model:
    """Conv with six uneven channels -> middle (from "a" to "b") -> Conv."""
    constants = {
        "w1": weights(6, 3, 3, 3) * UNEVEN.reshape(-1, 1, 1, 1),
        "b1": weights(6),
        "w2": weights(6, 6 // groups, 3, 3, seed=2),
        **(extra or {}),
    }
    nodes = [
        node("Conv", ["x", "w1", "b1"], "a" if middle else "b"),
        *middle,
        node("Conv", ["b", "w2"], "y", group=groups),
    ]
    return model(nodes, constants)


@pytest.mark.parametrize(
    "middle",
    [
        [],
        [node("Relu", ["a"], "b")],
        [node("LeakyRelu", ["a"], "b", alpha=0.2)],
        [node("PRelu", ["a", "slope"], "b")],
        [node("Relu", ["a"], "m"), node("MaxPool", ["m"], "b", kernel_shape=[2, 2])],
    ],
    ids=["none", "Relu", "LeakyRelu", "PRelu", "MaxPool"],
)
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_ranges_meet(middle: list[onnx.NodeProto], groups: int) -> None:
    built = _pair(middle, groups=groups, extra={"slope": np.abs(weights(6, 1, 1))})
    assert_pass_keeps_outputs(built, Equalize())
    if groups == 1:
        np.testing.assert_allclose(_ranges(built.graph[0], 0), _ranges(built.graph[-1], 1), rtol=1e-2)
    assert {"w1", "b1", "w2"} <= set(built.graph.initializers)


@pytest.mark.parametrize("rule", ClipRule)
def test_clip(rule: ClipRule) -> None:
    built = _pair([node("Clip", ["a", "low", "high"], "b")], extra={"low": np.float32(0), "high": np.float32(0.5)})
    assert_pass_keeps_outputs(built, Equalize(rule))
    expected = ["Conv", "Clip", "Conv"] if rule is ClipRule.KEEP else ["Conv", "Relu", "Min", "Conv"]
    assert op_types(built) == expected


@pytest.mark.parametrize(
    "middle",
    [
        [node("Sigmoid", ["a"], "b")],
        [node("Clip", ["a", "low", "high"], "b")],
        [node("Relu", ["a"], "b"), node("Neg", ["b"], "z")],
    ],
    ids=["not linear", "limit below zero", "two readers"],
)
def test_other_pairs_are_left_alone(middle: list[onnx.NodeProto]) -> None:
    built = _pair(middle, extra={"low": np.float32(-1), "high": np.float32(1)})
    assert not Equalize(ClipRule.PER_CHANNEL)(built).modified


def test_shared_weight_is_left_alone() -> None:
    nodes = [node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1]), node("Relu", ["a"], "b"), node("Conv", ["b", "w"], "y")]
    assert not Equalize()(model(nodes, {"w": weights(3, 3, 3, 3)})).modified


def test_dead_channels_keep_their_scale() -> None:
    built = _pair([node("Relu", ["a"], "b")])
    weight = float_weight(built.graph[0])
    assert weight is not None
    dead = weight.copy()
    dead[2] = 0
    built.graph.initializers["w1"].const_value = ir.Tensor(dead, name="w1")
    assert_pass_keeps_outputs(built, Equalize())


@given(st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.booleans(), st.integers(0, 99)), min_size=2, max_size=5))
@settings(max_examples=30, deadline=None)
def test_any_chain_keeps_outputs(layers: list[tuple[int, bool, int]]) -> None:
    nodes, constants, source = [], {}, "x"
    for index, (groups, relu, seed) in enumerate(layers):
        scales = 10 ** np.random.default_rng(seed).uniform(-1, 1, (4, 1, 1, 1)).astype(np.float32)
        constants[f"w{index}"] = weights(4, 4 // groups, 3, 3, seed=seed) * scales
        nodes.append(node("Conv", [source, f"w{index}"], f"c{index}", group=groups, pads=[1, 1, 1, 1]))
        nodes.append(node("Relu" if relu else "Identity", [f"c{index}"], f"r{index}"))
        source = f"r{index}"
    nodes.append(node("Neg", [source], "y"))
    assert_pass_keeps_outputs(model(nodes, constants, inputs={"x": ("N", 4, 8, 8)}), Equalize(), 1e-4)
