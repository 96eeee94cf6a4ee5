"""Propagated moments against samples, and the calibrator end to end."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from onnx_graphs import batchnorm_constants, model, node, run, weights
from plans import prepared

from zsq_export.calib.base import CalibrationRequest
from zsq_export.calib.moments.calibrator import MomentsCalibrator
from zsq_export.calib.moments.distribution import add, multiply, normal
from zsq_export.calib.moments.rules import behind
from zsq_export.errors import CalibrationError
from zsq_export.graph.batchnorm import harvest_batchnorms
from zsq_export.graph.prepared import PreparedModel
from zsq_export.passes.absorb_bias import AbsorbBias
from zsq_export.preprocessing import Preprocessing

GIVEN = Preprocessing(mean=(0.5,), std=(0.5,))


def test_a_rectified_normal_variable_has_its_closed_form() -> None:
    """E[relu(N(b, g²))] = g phi(-b/g) + b (1 - Phi(-b/g)): Nagel et al. 2019, appendix C."""
    beta, gamma = np.array([0.5, -1.0]), np.array([1.0, 2.0])
    found = normal(beta, gamma**2).mapped(lambda x: np.maximum(x, 0))
    phi = np.exp(-((beta / gamma) ** 2) / 2) / math.sqrt(2 * math.pi)
    upper = np.array([0.5 * (1 + math.erf(b / g / math.sqrt(2))) for b, g in zip(beta, gamma, strict=True)])
    np.testing.assert_allclose(found.mean, gamma * phi + beta * upper, rtol=1e-3)
    assert found.extremes()[1] == pytest.approx(beta + 6 * gamma) and (found.extremes()[0] == 0).all()


def test_sums_and_products_of_independent_and_of_the_same_variable() -> None:
    first, second = normal(np.array([1.0]), np.array([4.0])), normal(np.array([2.0]), np.array([1.0]))
    total, product = add(first, second), multiply(first, second)
    assert (total.mean[0], total.variance[0]) == pytest.approx((3, 5), rel=1e-3)
    assert (product.mean[0], product.variance[0]) == pytest.approx((2, 5 * 5 - 4), rel=1e-3)
    assert add(first, first).variance[0] == pytest.approx(16, rel=1e-3)
    swish = multiply(first, first.mapped(lambda x: 1 / (1 + np.exp(-x))))
    sample = np.random.default_rng(0).normal(1, 2, 10**6)
    assert swish.mean[0] == pytest.approx((sample / (1 + np.exp(-sample))).mean(), abs=0.01)


def _net(groups: int = 1) -> ir.Model:
    constants = {"w": weights(4, 3, 3, 3), "v": weights(6, 4 // groups, 1, 1), **batchnorm_constants("n", 4)}
    nodes = [
        node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "n_0", "n_1", "n_2", "n_3"], "b"),
        node("Relu", ["b"], "r"),
        node("Conv", ["r", "v"], "y", group=groups),
    ]
    return model(nodes, constants, inputs={"x": ["n", 3, 16, 16]})


def _with_norms(graph: ir.Model) -> PreparedModel:
    return replace(prepared(graph), batchnorms=harvest_batchnorms(graph))


@pytest.mark.parametrize("groups", [1, 2])
def test_means_behind_a_convolution_are_those_of_inputs_with_the_stored_statistics(groups: int) -> None:
    graph = _net(groups)
    ready = _with_norms(graph)
    found = MomentsCalibrator().calibrate(ready, CalibrationRequest(preprocessing=GIVEN))
    norm = ready.batchnorms[0]
    rng = np.random.default_rng(0)
    scattered = norm.beta[:, None, None] + np.abs(norm.gamma)[:, None, None] * rng.normal(size=(64, 4, 32, 32))
    constants = {"v": weights(6, 4 // groups, 1, 1)}
    tail = model([node("Relu", ["b"], "r"), node("Conv", ["r", "v"], "y", group=groups)], constants,
                 inputs={"b": ["n", 4, 32, 32]})  # fmt: skip
    seen = run(tail, {"b": scattered.astype(np.float32)})["y"]
    np.testing.assert_allclose(found.statistics["y"].channel_mean, seen.mean((0, 2, 3)), atol=0.02)
    assert found.statistics["y"].maximum > seen.max() * 0.9
    assert found.inputs == {} and found.statistics["r"].minimum == 0


def test_an_input_of_pictures_reaches_its_whole_range() -> None:
    found = MomentsCalibrator().calibrate(_with_norms(_net()), CalibrationRequest(preprocessing=GIVEN))
    assert (found.statistics["x"].minimum, found.statistics["x"].maximum) == (-1, 1)


def test_it_refuses_what_it_has_no_rule_for() -> None:
    graph = model([node("Einsum", ["x"], "y", equation="nchw->nc")], {})
    with pytest.raises(CalibrationError, match="Einsum"):
        behind(graph.graph[0], [normal(np.zeros(3), np.ones(3))])
    with pytest.raises(CalibrationError, match="no BatchNorm"):
        MomentsCalibrator().calibrate(prepared(graph), CalibrationRequest())


def test_absorbed_biases_leave_the_function_where_the_relu_passes() -> None:
    constants = {"w": weights(4, 3, 3, 3) / 10, "b": np.full(4, 30, np.float32), "v": weights(6, 2, 1, 1),
                 "c": weights(6)}  # fmt: skip
    graph = model(
        [node("Conv", ["x", "w", "b"], "a"), node("Relu", ["a"], "r"), node("Conv", ["r", "v", "c"], "y", group=2)],
        constants,
    )
    changed = graph.clone()
    absorber = AbsorbBias({"a": (np.full(4, 30, np.float32), np.ones(4, np.float32))})
    absorber(changed)
    assert absorber.absorbed["a"].tolist() == [27] * 4
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    np.testing.assert_allclose(run(changed, feeds)["y"], run(graph, feeds)["y"], rtol=1e-4, atol=1e-3)
