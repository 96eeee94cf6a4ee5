"""Covariance of the inputs of weighted ops, against matrices written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx_graphs import model, node, weights

from zsq_export.execution import covariance
from zsq_export.execution.covariance import Covariances, collect_covariances, input_length

RNG = np.random.default_rng(0)


def unfolded(x: Any, groups: int, kernel: tuple[int, int], **window: Any) -> Any:
    """[groups, vectors, length] by torch's own unfold."""
    columns = torch.nn.functional.unfold(torch.from_numpy(x), kernel, **window).permute(0, 2, 1)
    return columns.reshape(-1, groups, columns.shape[-1] // groups).permute(1, 0, 2).double().numpy()


def expected(vectors: Any) -> Any:
    return np.stack([np.cov(group, rowvar=False, bias=True) for group in vectors])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution(groups: int) -> None:
    conv = node("Conv", ["x", "w"], "y", name="conv", pads=[1, 2, 1, 2], strides=[2, 1], dilations=[1, 2], group=groups)
    graph = model([conv], {"w": weights(8, 4 // groups, 3, 3)}, inputs={"x": ("N", 4, 9, 10)})
    x = RNG.standard_normal((5, 4, 9, 10)).astype(np.float32)
    found = collect_covariances(graph, {"x": x}, list(graph.graph))["conv"].matrix
    window = {"padding": (1, 2), "stride": (2, 1), "dilation": (1, 2)}
    np.testing.assert_allclose(found, expected(unfolded(x, groups, (3, 3), **window)), atol=1e-5)


@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
def test_a_matrix_product(op: str) -> None:
    graph = model([node(op, ["x", "w"], "y", name="dense")], {"w": weights(6, 3)}, inputs={"x": ("N", 6)})
    x = RNG.standard_normal((50, 6)).astype(np.float32)
    found = collect_covariances(graph, {"x": x}, list(graph.graph))["dense"].matrix
    np.testing.assert_allclose(found, expected(x[None].astype(np.float64)), atol=1e-5)


def test_a_sample_of_the_places_is_near_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = model(
        [node("Conv", ["x", "w"], "y", name="conv")], {"w": weights(4, 2, 1, 1)}, inputs={"x": ("N", 2, 40, 40)}
    )
    x = (RNG.standard_normal((4, 2, 40, 40)) * np.reshape([1, 3], (2, 1, 1))).astype(np.float32)
    monkeypatch.setattr(covariance, "ROWS", 2000)
    found = collect_covariances(graph, {"x": x}, list(graph.graph))["conv"].matrix
    np.testing.assert_allclose(found[0], np.diag([1.0, 9.0]), atol=0.7)


def test_what_it_does_not_look_at() -> None:
    constants = {"w": weights(4, 2, 3, 3), "m": weights(2, 6, 6)}
    nodes = [
        node("Conv", ["x", "w"], "a", auto_pad="SAME_UPPER"),
        node("MatMul", ["x", "m"], "b"),
        node("Relu", ["x"], "c"),
    ]
    graph = model(nodes, constants, inputs={"x": ("N", 2, 6, 6)}, outputs=["a", "b", "c"])
    assert [input_length(item) for item in graph.graph] == [None, None, None]


def test_a_mean_far_above_the_deviation_costs_no_precision() -> None:
    graph = model([node("MatMul", ["x", "w"], "y", name="dense")], {"w": weights(6, 3)}, inputs={"x": ("N", 6)})
    x = (1000 + 0.01 * RNG.standard_normal((200, 6))).astype(np.float32)
    found = collect_covariances(graph, {"x": x}, list(graph.graph))["dense"].matrix
    np.testing.assert_allclose(found, expected(x[None].astype(np.float64)), rtol=0.02, atol=1e-7)


def test_what_was_gathered_once_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("MatMul", ["x", "w"], "y", name="first"), node("MatMul", ["y", "v"], "z", name="second")]
    graph = model(nodes, {"w": weights(6, 3), "v": weights(3, 2)}, inputs={"x": ("N", 6)}, outputs=["z"])
    first, second = graph.graph
    asked: list[list[str | None]] = []

    def watched(model: Any, inputs: Any, nodes: Any) -> Any:
        asked.append([node.name for node in nodes])
        return collect_covariances(model, inputs, nodes)

    monkeypatch.setattr(covariance, "collect_covariances", watched)
    gathered = Covariances(graph, {"x": RNG.standard_normal((50, 6)).astype(np.float32)})
    alone = gathered.of([first])["first"].matrix
    both = gathered.of([first, second])
    assert asked == [["first"], ["second"]]
    assert both["first"].matrix is alone and both["second"].matrix.shape == (1, 3, 3)
