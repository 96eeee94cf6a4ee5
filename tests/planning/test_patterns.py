"""Sub-graphs that stay float as a whole."""

from __future__ import annotations

from onnx_graphs import model, node, weights

from zsq_export.planning.patterns import nodes_of
from zsq_export.planning.table import Pattern


def test_swish_is_a_self_gate() -> None:
    graph = model([node("Sigmoid", ["x"], "s"), node("Mul", ["x", "s"], "y")])
    assert nodes_of(Pattern.SELF_GATE, graph) == {"s_node", "y_node"}


def test_hard_swish_written_out_is_a_self_gate() -> None:
    constants = {"three": weights(1), "six": weights(1), "low": weights(1)[0], "high": weights(1)[0]}
    nodes = [
        node("Add", ["x", "three"], "a"),
        node("Clip", ["a", "low", "high"], "c"),
        node("Mul", ["c", "x"], "m"),
        node("Div", ["m", "six"], "y"),
    ]
    assert nodes_of(Pattern.SELF_GATE, model(nodes, constants)) == {"a_node", "c_node", "m_node"}


def test_squeeze_and_excite() -> None:
    nodes = [
        node("GlobalAveragePool", ["x"], "g"),
        node("Conv", ["g", "w"], "c"),
        node("Sigmoid", ["c"], "s"),
        node("Mul", ["x", "s"], "y"),
    ]
    graph = model(nodes, {"w": weights(3, 3, 1, 1)})
    assert nodes_of(Pattern.SQUEEZE_EXCITE, graph) == {"g_node", "c_node", "s_node", "y_node"}
    assert nodes_of(Pattern.SELF_GATE, graph) == set()


def test_a_product_of_two_branches_is_neither() -> None:
    graph = model([node("Sin", ["x"], "a"), node("Cos", ["x"], "b"), node("Mul", ["a", "b"], "y")])
    assert nodes_of(Pattern.SELF_GATE, graph) == set()
    assert nodes_of(Pattern.SQUEEZE_EXCITE, graph) == set()
