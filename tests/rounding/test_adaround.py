"""Learned rounding: its parts against their formulas, and the whole against rounding to the nearest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx_graphs import model, node, random_feeds, run, weights
from plans import prepared, table

from zsq_export.errors import PlanError
from zsq_export.execution.collect import collect_statistics
from zsq_export.execution.torch_executor.segments import SegmentedExecutor
from zsq_export.pipeline import insert_qdq
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.plan import Plan
from zsq_export.planning.table import BiasRule, Scope
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.linear import fake_quantize
from zsq_export.quantization.qparams import QParams
from zsq_export.rounding.adaround.learned import LearnedStep, MaskPool, RoundedWeight
from zsq_export.rounding.adaround.method import AdaroundRounding
from zsq_export.rounding.adaround.settings import AdaroundSettings
from zsq_export.rounding.base import RoundingRequest
from zsq_export.rounding.registry import round_weights

LOW_BITS = replace(
    table(Scope.INPUTS, BiasRule.INT32), weight_widths=frozenset({2, 3, 4}), activation_widths=frozenset({6}),
)  # fmt: skip


def residual_net() -> ir.Model:
    constants = {f"w{i}": weights(8, 3 if i == 0 else 8, 3, 3, seed=i) / 5 for i in range(5)}
    constants |= {f"b{i}": weights(8, seed=10 + i) for i in range(5)}
    conv = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["x", "w0", "b0"], "a", **conv), node("Relu", ["a"], "r"),
        node("Conv", ["r", "w1", "b1"], "b", **conv), node("Relu", ["b"], "s"),
        node("Conv", ["s", "w2", "b2"], "c", **conv), node("Add", ["c", "r"], "d"), node("Relu", ["d"], "t"),
        node("Conv", ["t", "w3", "b3"], "e", **conv), node("Relu", ["e"], "u"),
        node("Conv", ["u", "w4", "b4"], "y", **conv),
    ]  # fmt: skip
    return model(nodes, constants, inputs={"x": ["n", 3, 8, 8]}, outputs=("y",))


def low_bit_plan(graph: ir.Model, feeds: dict[str, np.ndarray], bits: int = 3) -> Plan:
    options = PlanOptions(weights_bits=bits, activations_bits=6, edge_bits=bits, rounding="adaround")
    return make_plan(prepared(graph), collect_statistics(graph, feeds), LOW_BITS, options)


def test_segments_end_where_one_tensor_crosses_and_give_what_the_whole_gives() -> None:
    graph = residual_net()
    feeds = random_feeds(graph, batch=3)
    executor = SegmentedExecutor(graph)
    inputs = {"x": torch.from_numpy(feeds["x"])}
    weighted = {item.name or "" for item in graph.graph if item.op_type == "Conv"}
    segments = executor.segments(weighted, inputs)
    assert [segment.exits for segment in segments] == [("t",), ("y",)]
    values = dict(inputs)
    for segment in segments:
        values |= executor.run(segment, {name: values[name] for name in segment.entries}, {})
    np.testing.assert_allclose(values["y"].numpy(), run(graph, feeds)["y"], rtol=1e-4, atol=1e-4)


def shuffling_net() -> ir.Model:
    """Two groups of channels come to stand on axis 0, as in ShuffleNet: one tensor crosses there, without samples."""
    constants = {f"w{i}": weights(8, 3 if i == 0 else 8, 1, 1, seed=i) / 3 for i in range(2)}
    constants |= {f"w{i}": weights(4, 4, 1, 1, seed=i) for i in range(2, 4)}
    constants |= {"split": np.array([0, 2, 4, 8, 8]), "first": np.array(0), "second": np.array(1)}
    nodes = [
        node("Conv", ["x", "w0"], "a"), node("Conv", ["a", "w1"], "b"), node("Reshape", ["b", "split"], "c"),
        node("Transpose", ["c"], "groups", perm=[1, 0, 2, 3, 4]),
        node("Gather", ["groups", "first"], "p", axis=0), node("Gather", ["groups", "second"], "q", axis=0),
        node("Conv", ["p", "w2"], "d"), node("Conv", ["d", "w3"], "e"), node("Concat", ["e", "q"], "y", axis=1),
    ]  # fmt: skip
    return model(nodes, constants, inputs={"x": ["n", 3, 8, 8]}, outputs=("y",))


@pytest.mark.parametrize("samples", [2, 3, 8])
def test_segments_end_at_no_tensor_whose_first_axis_is_as_long_as_the_batch_by_chance(samples: int) -> None:
    graph = shuffling_net()
    feeds = random_feeds(graph, batch=samples)
    executor = SegmentedExecutor(graph)
    weighted = {item.name or "" for item in graph.graph if item.op_type == "Conv"}
    segments = executor.segments(weighted, {"x": torch.from_numpy(feeds["x"])})
    assert all("groups" not in segment.entries + segment.exits for segment in segments)


def test_a_weight_starts_at_the_nearest_integers_and_leaves_them_by_its_reach() -> None:
    weight = torch.from_numpy(weights(4, 3, 3, 3))
    qparams = QParams(scale=(0.5,) * 4, zero_point=(0,) * 4, dtype=QuantDtype.INT8, axis=0)
    learned = RoundedWeight(weight, qparams, reach=0.5)
    nearest = fake_quantize(weight.numpy(), qparams)
    np.testing.assert_allclose(learned.weight().detach(), nearest, atol=1e-6)
    with torch.no_grad():
        learned.offset += 9
    moved = learned.weight().detach().numpy() - weight.numpy()
    assert moved.min() > -1e-6 and moved.max() <= 0.5 + 1e-6
    learned.weight().sum().backward()
    assert learned.log_scale.grad is not None and float(learned.log_scale.grad.abs().sum()) > 0


def test_the_step_quantizes_as_the_runtime_does_and_its_gradients_are_those_of_lsq() -> None:
    value = torch.linspace(-2, 4, 50, requires_grad=True)
    qparams = QParams(scale=(0.25,), zero_point=(3,), dtype=QuantDtype.UINT8, bits=4)
    step = LearnedStep(qparams, torch.device("cpu"))
    result = step.quantized(value, None)
    np.testing.assert_allclose(result.detach(), fake_quantize(value.detach().numpy(), qparams), atol=1e-6)
    result.sum().backward()
    steps = value.detach() / 0.25 + 3
    inside = (steps >= 0) & (steps <= 15)
    np.testing.assert_array_equal(value.grad, inside.float())
    expected = torch.where(inside, steps.round() - steps, steps.clamp(0, 15) - 3).sum() * 0.25
    assert step.log_scale.grad == pytest.approx(float(expected), rel=1e-4)


def test_masks_have_their_share_and_follow_the_layout() -> None:
    torch.manual_seed(0)
    like = torch.empty(4, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    mask = MaskPool(0.25, torch.device("cpu")).mask(like)
    assert mask.stride() == like.stride()
    assert float(mask.mean()) == pytest.approx(0.75, abs=0.03)


def test_it_beats_the_nearest_integers_and_the_runtime_agrees() -> None:
    graph = residual_net()
    feeds = random_feeds(graph, batch=64)
    made = low_bit_plan(graph, feeds)
    settings = AdaroundSettings(steps=150, batch=16)
    request = RoundingRequest(model=graph, plan=made, inputs=feeds)
    learned = AdaroundRounding(settings).round(request)
    exact = run(graph, feeds)["y"]
    plain = run(insert_qdq(prepared(graph), made), feeds)["y"]
    found = run(insert_qdq(prepared(graph), learned.plan, learned.integers), feeds)["y"]
    assert np.square(found - exact).mean() < 0.8 * np.square(plain - exact).mean()
    assert learned.plan.learned and not made.learned
    again = AdaroundRounding(settings).round(request)
    assert again.plan == learned.plan
    for name, integers in learned.integers.items():
        np.testing.assert_array_equal(integers, again.integers[name])


def test_it_says_what_it_needs() -> None:
    graph = residual_net()
    feeds = random_feeds(graph, batch=4)
    made = low_bit_plan(graph, feeds)
    with pytest.raises(PlanError, match="fewer than 2 inputs"):
        round_weights(RoundingRequest(model=graph, plan=made))
    eight = make_plan(prepared(graph), collect_statistics(graph, feeds), LOW_BITS, PlanOptions(rounding="adaround"))
    with pytest.raises(PlanError, match="8 bits"):
        round_weights(RoundingRequest(model=graph, plan=eight, inputs=feeds))
