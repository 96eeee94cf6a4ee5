"""Inversion of a trained network: nearer to its BatchNorms, nearer to real data, and the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx_graphs import batchnorm, node, proto, weights, write
from picture_nets import channels_last

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator
from zsq_export.calib.bn_inversion.objective import batchnorm_loss, norm_targets
from zsq_export.calib.bn_inversion.runs import match_statistics
from zsq_export.calib.bn_inversion.settings import SETTINGS
from zsq_export.calib.prior.calibrator import PriorCalibrator
from zsq_export.calib.saved import save_calibration
from zsq_export.calib.starting_point import starting_point
from zsq_export.execution.collect import collect_statistics
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.quantization.statistics import TensorStatistics

FAST = CalibrationRequest(effort=Effort.FAST)
SCRIPT = """
import sys, torch
from pathlib import Path
from zsq_export.calib.auto import AutoCalibrator
from zsq_export.calib.base import CalibrationRequest, Effort
from zsq_export.calib.saved import save_calibration
from zsq_export.graph.prepare import prepare_model
torch.set_num_threads(1)
prepared = prepare_model(Path(sys.argv[1]))
result = AutoCalibrator().calibrate(prepared, CalibrationRequest(effort=Effort.FAST))
save_calibration(result, Path(sys.argv[2]), prepared)
"""


@pytest.fixture(scope="module")
def prepared(digits_model: Any) -> PreparedModel:
    return prepare_model(digits_model.path)


@pytest.fixture(scope="module")
def inverted(prepared: PreparedModel) -> CalibrationResult:
    return BnInversionCalibrator().calibrate(prepared, CalibrationRequest())


def mismatch(model: PreparedModel, inputs: NDArray[np.float32]) -> float:
    targets = norm_targets(model.batchnorms, "cpu")
    feeds = {model.inputs[0].name: torch.from_numpy(inputs)}
    taps = TorchExecutor(model.with_batchnorm)(feeds, taps=[target.input_name for target in targets]).taps
    return float(batchnorm_loss(taps, targets))


def distance(found: Mapping[str, TensorStatistics], real: Mapping[str, TensorStatistics]) -> float:
    """Mean over the activations of |ln(range / range on real data)|; the input itself does not count."""
    names = [name for name in real if name != "x"]
    here, there = (np.array([s[name].maximum - s[name].minimum for name in names]) for s in (found, real))
    return float(np.abs(np.log(here / there)).mean())


def test_the_batchnorms_are_matched_better_than_at_the_start(
    prepared: PreparedModel, inverted: CalibrationResult
) -> None:
    batch, made = SETTINGS[Effort.BALANCED].batch, inverted.inputs["x"]
    start = starting_point(prepared, seed=0, count=len(made), given=None).inputs()[:batch]
    end = mismatch(prepared, made[:batch])
    assert end < 0.4 * mismatch(prepared, start)
    losses = dict(inverted.provenance.final_losses)
    assert losses["batchnorm"] == pytest.approx(end, rel=0.4)


def test_ranges_come_nearer_to_those_of_real_data(
    prepared: PreparedModel, inverted: CalibrationResult, digits_model: Any
) -> None:
    real = collect_statistics(prepared.folded, {"x": digits_model.x_test})
    prior = PriorCalibrator().calibrate(prepared, CalibrationRequest())
    assert distance(inverted.statistics, real) < 0.8 * distance(prior.statistics, real)


def test_the_inputs_are_pictures_in_the_models_convention(inverted: CalibrationResult) -> None:
    made = inverted.inputs["x"]
    assert made.shape == (SETTINGS[Effort.BALANCED].samples, 1, 16, 16)
    assert made.dtype == np.float32
    assert inverted.preprocessing is not None
    assert inverted.preprocessing.name == "-1..1"
    assert made.min() >= -1 - 1e-6
    assert made.max() <= 1 + 1e-6
    assert inverted.statistics["x"].maximum >= made.max()


def test_every_tensor_of_the_folded_model_has_statistics(prepared: PreparedModel, inverted: CalibrationResult) -> None:
    random = collect_statistics(prepared.folded, {"x": np.zeros((1, 1, 16, 16), np.float32)})
    assert set(inverted.statistics) == set(random)


def test_it_says_how_it_was_done(inverted: CalibrationResult) -> None:
    settings = dict(inverted.provenance.settings)
    assert settings["steps"] == str(SETTINGS[Effort.BALANCED].steps)
    assert settings["batch"] == str(SETTINGS[Effort.BALANCED].batch)
    assert inverted.provenance.samples == len(inverted.inputs["x"])


@pytest.mark.parametrize(("samples", "shape"), [(1, (1, 1, 16, 16)), (70, (70, 1, 16, 16))])
def test_any_number_of_samples(prepared: PreparedModel, samples: int, shape: tuple[int, ...]) -> None:
    result = BnInversionCalibrator().calibrate(prepared, CalibrationRequest(effort=Effort.FAST, samples=samples))
    assert result.inputs["x"].shape == shape
    assert np.isfinite(result.inputs["x"]).all()


def test_progress_rises_to_the_end(prepared: PreparedModel) -> None:
    seen: list[float] = []
    request = CalibrationRequest(
        effort=Effort.FAST, samples=40, progress=lambda _, done: None if done is None else seen.append(done)
    )
    BnInversionCalibrator().calibrate(prepared, request)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    assert len(seen) % SETTINGS[Effort.FAST].steps == 0


def test_channels_last_inputs_are_inverted_alike(digits_model: Any, tmp_path: Path, prepared: PreparedModel) -> None:
    model = prepare_model(channels_last(digits_model.path, tmp_path / "m.onnx"))
    planes = BnInversionCalibrator().calibrate(prepared, FAST).inputs["x"]
    made = BnInversionCalibrator().calibrate(model, FAST).inputs["x"]
    assert made.shape == (len(planes), 16, 16, 1)
    assert np.abs(made - planes.transpose(0, 2, 3, 1)).mean() < 0.01


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_inputs_of_any_scale_are_moved_to_a_match(tmp_path: Path, scale: float) -> None:
    """Features that share 8 causes, which the white vectors of the start do not."""
    seen = (scale * weights(512, 8, seed=1) @ weights(8, 40, seed=2)).astype(np.float32)
    kernel, ones = weights(40, 16, seed=3), np.ones(16, np.float32)
    hidden = seen @ kernel
    constants = {"w": kernel, "b_0": ones, "b_1": 0 * ones, "b_2": hidden.mean(axis=0), "b_3": hidden.var(axis=0)}
    nodes = [node("MatMul", ["x", "w"], "h"), batchnorm("h", "y", "b")]
    model = prepare_model(write(tmp_path, proto(nodes, constants, inputs={"x": ("N", 40)})))
    made = BnInversionCalibrator().calibrate(model, CalibrationRequest()).inputs["x"]
    batch = SETTINGS[Effort.BALANCED].batch
    start = starting_point(model, seed=0, count=len(made), given=None).inputs()
    assert mismatch(model, made[:batch]) < 0.5 * mismatch(model, start[:batch])


def test_the_seed_decides_everything(prepared: PreparedModel, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        result = BnInversionCalibrator().calibrate(prepared, CalibrationRequest(effort=Effort.FAST, seed=seed))
        save_calibration(result, tmp_path / name, prepared)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_another_process_makes_the_same_bytes(prepared: PreparedModel, digits_model: Any, tmp_path: Path) -> None:
    save_calibration(BnInversionCalibrator().calibrate(prepared, FAST), tmp_path / "here", prepared)
    command = [sys.executable, "-c", SCRIPT, str(digits_model.path), str(tmp_path / "there")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_batches_optimised_at_once_give_what_they_give_one_by_one(prepared: PreparedModel) -> None:
    start = starting_point(prepared, seed=0, count=10, given=None)
    settings = replace(SETTINGS[Effort.FAST], inverted=10, batch=4, steps=3)
    one_by_one = match_statistics(prepared, start, settings, FAST).inputs
    at_once = match_statistics(prepared, start, replace(settings, at_once=8), FAST).inputs
    assert np.mean(np.abs(at_once - one_by_one)) < 1e-4  # a few pixels whose gradient is nearly 0 may go the other way
