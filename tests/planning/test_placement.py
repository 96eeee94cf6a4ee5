"""Which tensors are quantized, for whom, and which share a scale."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_graphs import model, node, weights
from plans import entry, plan, table, use

from zsq_export.planning.table import BiasRule, Scope

W = {"w1": weights(4, 3, 3, 3), "b1": weights(4), "w2": weights(4, 4, 3, 3), "b2": weights(4)}
INPUTS = table(Scope.INPUTS)
BOTH = table(Scope.INPUTS_AND_OUTPUT, BiasRule.INT32)


def conv(source: str, output: str, index: int = 2) -> object:
    return node("Conv", [source, f"w{index}", f"b{index}"], output, name=output, pads=[1, 1, 1, 1])


@pytest.fixture
def chain() -> object:
    """conv - relu - conv."""
    return model([conv("x", "c", 1), node("Relu", ["c"], "r"), conv("r", "y")], W)


def test_inputs_only(chain: object) -> None:
    made = plan(chain, INPUTS)
    assert [item.tensor for item in made.tensors] == ["x", "w1", "r", "w2"]
    assert entry(made, "r").uses == (use("y"),)
    assert made.float_ops == ()


def test_outputs_too_after_the_fused_activation(chain: object) -> None:
    made = plan(chain, BOTH)
    assert [item.tensor for item in made.tensors] == ["x", "w1", "b1", "r", "w2", "b2", "y"]
    assert entry(made, "y").as_output and entry(made, "y").uses == ()
    assert entry(made, "r").qparams.zero_point == (0,)


def test_the_step_of_an_int32_bias(chain: object) -> None:
    made = plan(chain, BOTH)
    steps = np.float32(entry(made, "x").qparams.scale[0]) * np.asarray(
        entry(made, "w1").qparams.scale, dtype=np.float32
    )
    assert entry(made, "b1").qparams.scale == tuple(float(step) for step in steps)


def test_an_activation_with_two_readers_is_not_fused() -> None:
    graph = model([conv("x", "c", 1), node("Relu", ["c"], "r"), node("Sub", ["c", "r"], "y")], W)
    made = plan(graph, BOTH)
    assert entry(made, "c").uses == (use("r_node"), use("y_node"))
    assert [op.op_type for op in made.float_ops] == ["Relu", "Sub"]


def test_a_pool_passes_quantization_on_if_all_readers_want_it() -> None:
    pool = node("MaxPool", ["c"], "p", kernel_shape=[2, 2])
    made = plan(model([conv("x", "c", 1), pool, conv("p", "y")], W), INPUTS)
    assert entry(made, "c").uses == (use("p_node"),)
    assert "p" not in [item.tensor for item in made.tensors]


def test_a_pool_that_feeds_a_float_op_stays_float() -> None:
    nodes = [conv("x", "c", 1), node("MaxPool", ["c"], "p", kernel_shape=[1, 1]), conv("p", "d")]
    made = plan(model([*nodes, node("Sin", ["p"], "s"), node("Sub", ["d", "s"], "y")], W), INPUTS)
    assert entry(made, "p").uses == (use("d"),)
    assert {op.op_type for op in made.float_ops} == {"MaxPool", "Sin", "Sub"}
    assert all(op.reason for op in made.float_ops)


def test_integers_in_integers_out() -> None:
    nodes = [conv("x", "c", 1), node("MaxPool", ["c"], "p", kernel_shape=[1, 1]), node("Sin", ["p"], "y")]
    made = plan(model(nodes, W), BOTH)
    assert entry(made, "p").qparams == entry(made, "c").qparams
    assert [op.op_type for op in made.float_ops] == ["Sin"]


@pytest.mark.parametrize("rules", [INPUTS, BOTH])
def test_what_is_concatenated_shares_one_scale(rules: object) -> None:
    constants = {**W, "w2": weights(4, 8, 3, 3), "w3": 9 * weights(4, 3, 3, 3), "b3": weights(4)}
    nodes = [conv("x", "a", 1), conv("x", "b", 3), node("Concat", ["a", "b"], "c", axis=1), conv("c", "y")]
    made = plan(model(nodes, constants), rules)
    assert entry(made, "a").qparams == entry(made, "b").qparams


def test_the_other_operand_of_a_fused_sum_is_quantized() -> None:
    nodes = [conv("x", "c", 1), node("Relu", ["c"], "r"), conv("r", "d"), node("Add", ["d", "r"], "s"), conv("s", "y")]
    made = plan(model(nodes, W), table(Scope.INPUTS, fuses_into=("Conv",)))
    assert entry(made, "r").uses == (use("d"), use("s_node", 1))
    assert "d" not in [item.tensor for item in made.tensors]


def test_a_sum_that_fuses_into_nothing_stays_float() -> None:
    nodes = [node("Sin", ["x"], "a"), node("Cos", ["x"], "b"), node("Add", ["a", "b"], "s"), conv("s", "y", 1)]
    made = plan(model(nodes, W), table(Scope.INPUTS, fuses_into=("Conv",)))
    assert "not computed inside" in next(op.reason for op in made.float_ops if op.op_type == "Add")


def test_a_constant_operand_is_stored_as_integers() -> None:
    made = plan(model([node("Add", ["x", "k"], "a"), conv("a", "y", 1)], {**W, "k": weights(1, 3, 1, 1)}), BOTH)
    assert entry(made, "k").qparams.axis is None and entry(made, "k").uses == (use("a_node", 1),)


def test_a_weight_that_is_computed_stays_float() -> None:
    nodes = [node("Sin", ["w1"], "w"), node("Conv", ["x", "w"], "c", name="c"), node("Sin", ["c"], "y")]
    made = plan(model([node("Mul", ["w1", "k"], "v"), *nodes], {**W, "k": weights(1)}), INPUTS)
    assert made.tensors == ()
    assert any("computed at run time" in op.reason for op in made.float_ops)


def test_shared_weights_have_one_entry_and_a_bias_for_each_step() -> None:
    constants = {"w2": weights(3, 3, 3, 3), "b2": weights(3)}
    made = plan(model([conv("x", "c"), node("Relu", ["c"], "r"), conv("r", "y")], constants), BOTH)
    assert [item.tensor for item in made.tensors if item.role.value == "weight"] == ["w2"]
    biases = [item for item in made.tensors if item.role.value == "bias"]
    assert [item.uses for item in biases] == [(use("c", 2),), (use("y", 2),)]


@pytest.mark.parametrize("transposed", [0, 1])
def test_the_channels_of_a_gemm(transposed: int) -> None:
    gemm = node("Gemm", ["x", "w", "b"], "y", transB=transposed)
    shape = (5, 6) if transposed else (6, 5)
    made = plan(model([gemm], {"w": weights(*shape), "b": weights(5)}, inputs={"x": ("N", 6)}), INPUTS)
    assert entry(made, "w").qparams.axis == (0 if transposed else 1)
    assert len(entry(made, "w").qparams.scale) == 5
