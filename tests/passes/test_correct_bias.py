"""Bias corrections shift each output channel by their delta and nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_graphs import model, node, random_feeds, run, weights

from zsq_export.errors import PlanError
from zsq_export.passes.correct_bias import CorrectBias
from zsq_export.planning.plan import BiasCorrection

DELTA = (0.5, -1.0, 2.0, 0.25)
CONSTANTS = {
    "w": weights(4, 3, 3, 3),
    "b": weights(4),
    "t": weights(3, 4, 3, 3),
    "m": weights(5, 4),
    "g": weights(4, 5),
}


@pytest.mark.parametrize(
    ("nodes", "shape", "channels"),
    [
        ([node("Conv", ["x", "w"], "y", "op")], (2, 3, 8, 8), (4, 1, 1)),
        ([node("Conv", ["x", "w", "b"], "y", "op")], (2, 3, 8, 8), (4, 1, 1)),
        ([node("ConvTranspose", ["x", "t", "b"], "y", "op")], (2, 3, 8, 8), (4, 1, 1)),
        ([node("Gemm", ["x", "g"], "y", "op", transB=1)], (2, 5), (4,)),
        ([node("MatMul", ["x", "m"], "a", "op"), node("Add", ["b", "a"], "y")], (2, 6, 5), (4,)),
        ([node("MatMul", ["x", "m"], "y", "op")], (2, 6, 5), (4,)),
        ([node("MatMul", ["x", "m"], "a", "op"), node("Identity", ["a"], "y")], (2, 6, 5), (4,)),
    ],
)
def test_outputs_shift_by_delta(nodes: list[onnx.NodeProto], shape: tuple[int, ...], channels: tuple[int, ...]) -> None:
    built = model(nodes, CONSTANTS, inputs={"x": shape})
    feeds = random_feeds(built)
    before = run(built, feeds)["y"]
    CorrectBias((BiasCorrection(node="op", delta=DELTA),))(built)
    np.testing.assert_allclose(run(built, feeds)["y"], before + np.reshape(DELTA, channels), atol=1e-4)


def test_names_stay() -> None:
    built = model([node("Conv", ["x", "w", "b"], "y", "op")], CONSTANTS)
    CorrectBias((BiasCorrection(node="op", delta=DELTA),))(built)
    assert built.graph[0].inputs[2].name == "b"  # type: ignore[union-attr]
    bare = model([node("Conv", ["x", "w"], "y", "op")], CONSTANTS)
    CorrectBias((BiasCorrection(node="op", delta=DELTA),))(bare)
    assert bare.graph[0].inputs[2].name == "op.bias"  # type: ignore[union-attr]


def test_shared_bias_is_copied() -> None:
    nodes = [node("Conv", ["x", "w", "b"], "a", "op"), node("Conv", ["x", "w", "b"], "c"), node("Sub", ["a", "c"], "y")]
    built = model(nodes, CONSTANTS)
    CorrectBias((BiasCorrection(node="op", delta=DELTA),))(built)
    found = run(built, random_feeds(built))["y"]
    np.testing.assert_allclose(found, np.broadcast_to(np.reshape(DELTA, (4, 1, 1)), found.shape), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "delta", "part"),
    [("nobody", DELTA, "does not have"), ("act", DELTA, "Relu"), ("op", (1.0, 2.0), "4 channels")],
)
def test_wrong_corrections_are_refused(name: str, delta: tuple[float, ...], part: str) -> None:
    built = model([node("Conv", ["x", "w", "b"], "a", "op"), node("Relu", ["a"], "y", "act")], CONSTANTS)
    with pytest.raises(PlanError, match=part):
        CorrectBias((BiasCorrection(node=name, delta=delta),))(built)
