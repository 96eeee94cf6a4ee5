"""The bias of a MatMul is an Add of its own; a Relu behind it is computed inside, too."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_graphs import model, node, weights
from plans import entry, plan, prepared

from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.planning.check import check_plan
from zsq_export.planning.leave_float import behind, leave_float
from zsq_export.planning.plan import Role, Use


def _layer() -> ir.Model:
    nodes = [node("MatMul", ["x", "w"], "m"), node("Add", ["b", "m"], "a"), node("Relu", ["a"], "y")]
    return model(nodes, {"w": weights(7, 5), "b": weights(5)}, inputs={"x": ("N", 4, 7)})


def test_bias_on_the_step_of_the_accumulator() -> None:
    made = plan(_layer(), TfliteEdge().placement())
    assert [item.tensor for item in made.tensors if item.role is Role.ACTIVATION] == ["x", "y"]
    bias, weight = entry(made, "b"), entry(made, "w")
    assert (bias.role, bias.uses) == (Role.BIAS, (Use(node="a_node", input_index=0),))
    products = np.float32(entry(made, "x").qparams.scale[0]) * np.array(weight.qparams.scale, dtype=np.float32)
    assert np.array_equal(np.array(bias.qparams.scale, dtype=np.float32), products)
    assert made.float_ops == ()


def test_a_plan_that_was_read_keeps_it() -> None:
    graph, table = _layer(), TfliteEdge().placement()
    made = plan(graph, table)
    assert check_plan(made, prepared(graph), table) == made


def test_what_is_left_in_float() -> None:
    graph = _layer()
    made = plan(graph, TfliteEdge().placement())
    nodes = behind(graph, "m_node")
    assert nodes == ("m_node", "a_node", "y_node")
    kept = leave_float(made, graph, nodes, "because")
    assert kept.tensors == ()
    assert [(op.node, op.reason) for op in kept.float_ops] == [(name, "because") for name in nodes]
