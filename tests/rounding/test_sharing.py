"""Which activations are learned as one step: those that a target holds together, not those that look alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from onnx_graphs import model, node, random_feeds, weights
from plans import entry, plan, prepared, table

from zsq_export.execution.collect import collect_statistics
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.plan import Plan, Role
from zsq_export.planning.table import BiasRule, Scope
from zsq_export.quantization.estimators import RangeEstimator
from zsq_export.rounding.adaround.method import AdaroundRounding
from zsq_export.rounding.adaround.settings import AdaroundSettings
from zsq_export.rounding.adaround.sharing import step_keys
from zsq_export.rounding.base import RoundingRequest

LOW_BITS = replace(
    table(Scope.INPUTS, BiasRule.INT32), weight_widths=frozenset({4}), activation_widths=frozenset({4})
)  # fmt: skip
LAYERS = 6


def clipped_net() -> ir.Model:
    """Activations that end at 0 and 6 everywhere; the limits are constants that all of them read."""
    constants = {f"w{i}": weights(8, 3 if i == 0 else 8, 3, 3, seed=i) for i in range(LAYERS)}
    constants |= {f"b{i}": weights(8, seed=20 + i) + 3 for i in range(LAYERS)}
    constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    nodes, last = [], "x"
    for index in range(LAYERS):
        nodes.append(node("Conv", [last, f"w{index}", f"b{index}"], f"a{index}", pads=[1, 1, 1, 1]))
        last = "y" if index == LAYERS - 1 else f"c{index}"
        nodes.append(node("Clip", [f"a{index}", "low", "high"], last))
    return model(nodes, constants, inputs={"x": ["n", 3, 8, 8]}, outputs=("y",))


def low_bit_plan(graph: ir.Model, feeds: dict[str, np.ndarray]) -> Plan:
    options = PlanOptions(weights_bits=4, activations_bits=4, estimator=RangeEstimator.MIN_MAX, rounding="adaround")
    return make_plan(prepared(graph), collect_statistics(graph, feeds), LOW_BITS, options)


def test_tensors_that_happen_to_have_one_range_are_learned_apart() -> None:
    graph = clipped_net()
    feeds = random_feeds(graph, batch=16)
    made = low_bit_plan(graph, feeds)
    narrow = [item for item in made.tensors if item.role is Role.ACTIVATION and item.qparams.width == 4]
    assert len(narrow) == LAYERS - 2 and len({item.qparams for item in narrow}) == 1
    keys = step_keys(graph, made)
    assert len({keys[item.tensor] for item in narrow}) == len(narrow)
    learned = AdaroundRounding(AdaroundSettings(steps=20, batch=8)).round(
        RoundingRequest(model=graph, plan=made, inputs=feeds)
    )
    assert len({entry(learned.plan, item.tensor).qparams for item in narrow}) == len(narrow)


def test_ops_that_move_values_hold_their_tensors_together() -> None:
    constants = {"w": weights(4, 4, 1, 1), "u": weights(4, 4, 1, 1), "v": weights(4, 8, 1, 1)}
    nodes = [
        node("Conv", ["x", "w"], "a"), node("MaxPool", ["a"], "m", kernel_shape=[1, 1]),
        node("Conv", ["x", "u"], "k"), node("Concat", ["m", "k"], "j", axis=1), node("Conv", ["j", "v"], "b"),
        node("Add", ["b", "x"], "y"),
    ]  # fmt: skip
    graph = model(nodes, constants, inputs={"x": [1, 4, 4, 4]}, outputs=("y",))
    made = plan(graph, table(Scope.INPUTS_AND_OUTPUT))
    keys = step_keys(graph, made)
    assert len({keys[name] for name in "amkj"}) == 1
    same = replace(made, tensors=tuple(replace(item, qparams=made.tensors[0].qparams) for item in made.tensors))
    alike = step_keys(graph, same)
    assert alike["b"] != alike["x"] != alike["j"], "an Add computes new values, and so does a Conv"
