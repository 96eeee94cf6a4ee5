"""Patch similarity: the entropy itself, attentions found, and pictures that improve on their start."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx_graphs import model, node, weights
from plans import prepared

from zsq_export.calib.base import CalibrationRequest, Effort
from zsq_export.calib.patch_similarity import PatchSimilarityCalibrator, attention_outputs, patch_entropy
from zsq_export.calib.starting_point import starting_point
from zsq_export.errors import CalibrationError
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.preprocessing import Preprocessing

REQUEST = CalibrationRequest(effort=Effort.FAST, samples=8, preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)))


def attention_net() -> ir.Model:
    """4x4 patches of 16x16 pixels, one attention, a linear head."""
    constants = {
        "w": weights(12, 3, 4, 4) / 4, "flat": np.array([0, 12, 16], np.int64),
        **{name: weights(12, 12, seed=i) / 3 for i, name in enumerate(("q", "k", "v"))},
        "head": weights(12, 5, seed=7), "axes": np.array([1], np.int64),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w"], "p", strides=[4, 4]), node("Reshape", ["p", "flat"], "f"),
        node("Transpose", ["f"], "t", perm=[0, 2, 1]),
        node("MatMul", ["t", "q"], "tq"), node("MatMul", ["t", "k"], "tk"), node("MatMul", ["t", "v"], "tv"),
        node("Transpose", ["tk"], "kt", perm=[0, 2, 1]), node("MatMul", ["tq", "kt"], "s"),
        node("Softmax", ["s"], "a", axis=-1), node("MatMul", ["a", "tv"], "o"),
        node("ReduceMean", ["o"], "m", axes=[1], keepdims=0), node("MatMul", ["m", "head"], "y"),
    ]  # fmt: skip
    return model(nodes, constants, inputs={"x": ["n", 3, 16, 16]})


def entropy(graph: ir.Model, inputs: np.ndarray) -> float:
    return float(patch_entropy(TorchExecutor(graph)({"x": torch.from_numpy(inputs)}, taps=["o"]).taps["o"]))


def test_patches_that_differ_have_more_entropy_than_patches_that_are_alike() -> None:
    torch.manual_seed(0)
    different = torch.randn(2, 3, 20, 16)
    alike = torch.randn(2, 3, 1, 16) + 0.01 * torch.randn(2, 3, 20, 16)
    assert patch_entropy(different) > patch_entropy(alike)


def test_the_pictures_gain_entropy_and_stay_in_range() -> None:
    ready = prepared(attention_net())
    assert attention_outputs(ready.with_batchnorm) == ("o",)
    start = starting_point(ready, seed=0, count=8, given=REQUEST.preprocessing).inputs()
    made = PatchSimilarityCalibrator().calibrate(ready, REQUEST)
    pictures = made.inputs["x"]
    assert pictures.min() >= -1 and pictures.max() <= 1
    assert entropy(ready.with_batchnorm, pictures) > entropy(ready.with_batchnorm, start)
    again = PatchSimilarityCalibrator().calibrate(ready, REQUEST)
    np.testing.assert_array_equal(pictures, again.inputs["x"])


def test_it_says_what_it_needs() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)}, inputs={"x": ["n", 3, 16, 16]})
    with pytest.raises(CalibrationError, match="no attention"):
        PatchSimilarityCalibrator().calibrate(prepared(graph), REQUEST)
