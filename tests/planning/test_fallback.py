"""Nodes without a kernel go back to float, one at a time."""

from __future__ import annotations

import pytest
from onnx_graphs import model, node, weights
from plans import plan, table

from zsq_export.errors import KernelMissingError
from zsq_export.planning.fallback import give_back
from zsq_export.planning.table import Scope

GRAPH = model([node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "y")],
              {"w": weights(16, 3, 3, 3), "b": weights(16), "v": weights(16, 16, 3, 3)})  # fmt: skip


def test_the_first_quantized_node_that_is_named_goes_back() -> None:
    made = plan(GRAPH, table(Scope.INPUTS), bias_correction=True)
    assert {item.node for item in made.bias_corrections} == {"c_node"}
    error = KernelMissingError("no implementation", nodes=("r_node", "c_node", "y_node"))
    changed = give_back(made, GRAPH, error)
    assert {item.tensor for item in changed.tensors} == {"r", "v"}
    assert (changed.float_ops[-1].node, changed.float_ops[-1].op_type) == ("c_node", "Conv")
    assert "no implementation" in changed.float_ops[-1].reason
    assert changed.bias_corrections == ()


def test_nothing_left_to_give_back_is_the_error_itself() -> None:
    made = plan(GRAPH, table(Scope.INPUTS))
    error = KernelMissingError("no implementation", nodes=("r_node",))
    with pytest.raises(KernelMissingError) as caught:
        give_back(made, GRAPH, error)
    assert caught.value is error
