"""The generator on a small trained network: statistics that fit, the same every time, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx_graphs import model, node, weights
from plans import prepared as as_prepared

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.objective import batchnorm_loss, norm_targets
from zsq_export.calib.generator.calibrator import ConditionalGeneratorCalibrator, GeneratorCalibrator
from zsq_export.calib.generator.network import PictureGenerator
from zsq_export.calib.generator.settings import SETTINGS
from zsq_export.calib.generator.training import swing
from zsq_export.calib.registry import calibrator_names
from zsq_export.errors import CalibrationError
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel

FAST = CalibrationRequest(effort=Effort.FAST, samples=32)


@pytest.fixture(scope="module")
def ready(digits_model: Any) -> PreparedModel:
    return prepare_model(digits_model.path)


@pytest.fixture(scope="module")
def made(ready: PreparedModel) -> CalibrationResult:
    return GeneratorCalibrator().calibrate(ready, FAST)


def mismatch(ready: PreparedModel, inputs: np.ndarray) -> float:
    targets = norm_targets(ready.batchnorms, "cpu")
    feeds = {ready.inputs[0].name: torch.from_numpy(inputs)}
    taps = TorchExecutor(ready.with_batchnorm)(feeds, taps=[target.input_name for target in targets]).taps
    return float(batchnorm_loss(taps, targets))


def test_its_pictures_fit_the_stored_statistics_better_than_noise(
    ready: PreparedModel, made: CalibrationResult
) -> None:
    pictures = made.inputs[ready.inputs[0].name]
    noise = np.random.default_rng(0).normal(pictures.mean(), pictures.std(), pictures.shape).astype(np.float32)
    assert pictures.shape[0] == 32
    assert mismatch(ready, pictures) < 0.5 * mismatch(ready, noise)
    assert set(made.statistics) >= {value.name for value in ready.folded.graph.outputs}


def test_the_same_seed_gives_the_same_pictures(ready: PreparedModel, made: CalibrationResult) -> None:
    again = GeneratorCalibrator().calibrate(ready, FAST)
    for name, pictures in made.inputs.items():
        np.testing.assert_array_equal(pictures, again.inputs[name])


def test_a_conditional_generator_looks_at_the_class() -> None:
    torch.manual_seed(0)
    network = PictureGenerator(channels=3, height=10, width=12, features=8, latent=16, classes=4)
    latents = torch.randn(1, 16).repeat(4, 1)
    pictures = network(latents, torch.arange(4))
    assert pictures.shape == (4, 3, 10, 12)
    assert float((pictures[0] - pictures[1]).detach().abs().max()) > 1e-3
    assert float(pictures.detach().min()) >= 0 and float(pictures.detach().max()) <= 1
    assert {"generator", "generator-conditional"} <= set(calibrator_names())


def test_swing_shifts_by_at_most_its_pixels() -> None:
    torch.manual_seed(0)
    value = torch.arange(64.0).reshape(1, 1, 8, 8)
    seen = {float(swing(1)(value)[0, 0, 3, 3]) for _ in range(50)}
    assert seen <= {float(value[0, 0, 3 + i, 3 + j]) for i in (-1, 0, 1) for j in (-1, 0, 1)} and len(seen) > 4


def test_it_says_what_it_needs() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    with pytest.raises(CalibrationError, match="no BatchNorm"):
        ConditionalGeneratorCalibrator().calibrate(as_prepared(graph), FAST)


def test_the_steps_follow_from_the_model_alone() -> None:
    settings = SETTINGS[Effort.BALANCED]
    assert settings.fitted(10**9).steps < settings.fitted(1000).steps == settings.steps
