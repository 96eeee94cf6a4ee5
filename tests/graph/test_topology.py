"""Small questions about graphs, and multiply-accumulate counts."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_graphs import model, node, weights

from zsq_export.graph.macs import node_macs
from zsq_export.graph.topology import (
    channel_axis,
    constant_value,
    consumers,
    node_by_name,
    only_consumer,
    producers,
    value_by_name,
    weight_axis,
)


def test_neighbours() -> None:
    built = model([node("Relu", ["x"], "a"), node("Add", ["a", "a"], "b"), node("Add", ["a", "b"], "y")])
    nodes, values = node_by_name(built), value_by_name(built)
    assert consumers(values["a"]) == [nodes["b_node"], nodes["y_node"]]
    assert producers(nodes["y_node"]) == [nodes["a_node"], nodes["b_node"]]
    assert only_consumer(values["b"]) is nodes["y_node"]
    assert only_consumer(values["a"]) is None and only_consumer(values["y"]) is None


def test_constants_are_initializers_and_constant_nodes_but_no_inputs() -> None:
    built = model(
        [node("Constant", [], "c", value_floats=[1.0, 2.0]), node("Add", ["x", "c"], "y")],
        {"k": weights(2)},
        inputs={"x": ("N", 2)},
    )
    values = value_by_name(built)
    np.testing.assert_array_equal(constant_value(values["c"]), [1, 2])
    assert constant_value(values["k"]) is not None
    assert constant_value(values["x"]) is None and constant_value(None) is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(("N",), None), (("N", 4), 1), (("N", 4, 6), 2), (("N", 3, 8, 8), 1), (("N", 3, 4, 8, 8), 1)],
)
def test_channel_axis_by_rank(shape: tuple[int | str, ...], expected: int | None) -> None:
    built = model([node("Relu", ["x"], "y")], inputs={"x": shape})
    assert channel_axis(built.graph.outputs[0]) == expected


def test_channel_axis_next_to_a_one_dimensional_convolution() -> None:
    built = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3)}, inputs={"x": ("N", 3, 9)})
    assert channel_axis(built.graph.inputs[0]) == 1 and channel_axis(built.graph.outputs[0]) == 1


@pytest.mark.parametrize(
    ("item", "shape", "inputs", "axis", "macs"),
    [
        (node("Conv", ["x", "w"], "y", group=2), (4, 2, 3, 3), ("N", 4, 8, 8), 0, 4 * 6 * 6 * 2 * 9),
        (
            node("ConvTranspose", ["x", "w"], "y", group=2, strides=[2, 2]),
            (4, 3, 2, 2),
            ("N", 4, 5, 5),
            1,
            4 * 25 * 3 * 4,
        ),
        (node("Gemm", ["x", "w"], "y", transB=1), (5, 7), ("N", 7), 0, 35),
        (node("Gemm", ["x", "w"], "y"), (7, 5), ("N", 7), 1, 35),
        (node("MatMul", ["x", "w"], "y"), (7, 5), ("N", 3, 7), 1, 3 * 35),
        (node("Conv", ["x", "w"], "y"), (4, 4, 1, 1), (8, 4, 2, 2), 0, 4 * 4 * 4),
    ],
)
def test_weight_axis_and_macs(item, shape, inputs, axis, macs) -> None:  # type: ignore[no-untyped-def]
    built = model([item], {"w": weights(*shape)}, inputs={"x": inputs})
    assert weight_axis(built.graph[0]) == axis
    assert node_macs(built) == {"y_node": macs}


def test_open_sides_of_a_picture_count_as_224() -> None:
    built = model([node("Conv", ["x", "w"], "y")], {"w": weights(2, 3, 1, 1)}, inputs={"x": ("N", 3, "H", "W")})
    assert node_macs(built) == {"y_node": 6 * 224 * 224}


def test_macs_of_open_pictures_with_channels_last() -> None:
    nodes = [node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], "y")]
    built = model(nodes, {"w": weights(2, 3, 3, 3)}, inputs={"x": ("N", "H", "W", 3)})
    assert node_macs(built) == {"y_node": 2 * 3 * 9 * 222 * 222}
