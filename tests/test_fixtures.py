"""The shared networks are what the tests that use them take them for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from digits import DigitsModel
from numpy.testing import assert_allclose


def _op_types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def _logits(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_digits_model_is_accurate(digits_model: DigitsModel) -> None:
    predicted = _logits(digits_model.path, digits_model.x_test).argmax(1)
    assert np.mean(predicted == digits_model.y_test) > 0.95


def test_digits_model_keeps_its_batchnorms(digits_model: DigitsModel) -> None:
    assert _op_types(digits_model.path).count("BatchNormalization") == 5


def test_folded_digits_model_computes_the_same(digits_model: DigitsModel, digits_model_folded: DigitsModel) -> None:
    assert "BatchNormalization" not in _op_types(digits_model_folded.path)
    x = digits_model.x_test[:64]
    assert_allclose(_logits(digits_model.path, x), _logits(digits_model_folded.path, x), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_efficientnet_keeps_its_batchnorms(efficientnet_lite0_path: Path) -> None:
    assert _op_types(efficientnet_lite0_path).count("BatchNormalization") == 49
