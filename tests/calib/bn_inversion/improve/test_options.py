"""Every improvement changes the inputs, and what it says it changes; together they still work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx_graphs import batchnorm, node, proto, weights, write

from zsq_export.calib.auto import AutoCalibrator
from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator
from zsq_export.calib.bn_inversion.improve.pictures import low_pass, texture_energies
from zsq_export.calib.bn_inversion.objective import batchnorm_loss, norm_targets
from zsq_export.calib.improvement import Improvement
from zsq_export.calib.starting_point import starting_point
from zsq_export.errors import CalibrationError, UsageError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.options import CalibrationOptions
from zsq_export.pipeline import calibrate

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def prepared(digits_model: Any) -> PreparedModel:
    return prepare_model(digits_model.path)


@pytest.fixture(scope="module")
def usual(prepared: PreparedModel) -> CalibrationResult:
    return made(prepared)


def made(model: PreparedModel, *improvements: Improvement, effort: Effort = Effort.FAST) -> CalibrationResult:
    request = CalibrationRequest(effort=effort, improvements=improvements)
    return BnInversionCalibrator().calibrate(model, request)


def pictures(result: CalibrationResult) -> Array:
    """In 0..1: the digits' convention is -1..1."""
    return (result.inputs["x"] + 1) / 2


def probabilities(model: PreparedModel, inputs: Array) -> Array:
    scores = OrtSession(model.folded).run({"x": inputs})["logits"].astype(np.float64)
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


@pytest.mark.parametrize("improvement", Improvement)
def test_each_changes_the_inputs_says_so_and_follows_the_seed(
    prepared: PreparedModel, usual: CalibrationResult, improvement: Improvement
) -> None:
    found = made(prepared, improvement)
    assert np.isfinite(found.inputs["x"]).all()
    assert np.abs(found.inputs["x"] - usual.inputs["x"]).max() > 1e-3
    assert dict(found.provenance.settings)["improvements"] == improvement.value
    np.testing.assert_array_equal(found.inputs["x"], made(prepared, improvement).inputs["x"])
    assert set(found.statistics) == set(usual.statistics)


def test_without_any_nothing_is_said(usual: CalibrationResult) -> None:
    assert "improvements" not in dict(usual.provenance.settings)


def test_the_plain_method_starts_from_noise(prepared: PreparedModel, usual: CalibrationResult) -> None:
    plain, begun = pictures(made(prepared, Improvement.PLAIN)), pictures(usual)
    rough = [float(np.abs(np.diff(found, axis=3)).mean()) for found in (plain, begun)]
    assert rough[0] > 1.3 * rough[1]


def test_slack_lets_the_statistics_off(prepared: PreparedModel) -> None:
    targets = norm_targets(prepared.batchnorms, "cpu")

    def mismatch(*improvements: Improvement) -> float:
        inputs = torch.from_numpy(made(prepared, *improvements, effort=Effort.BALANCED).inputs["x"])
        names = [target.input_name for target in targets]
        return float(batchnorm_loss(TorchExecutor(prepared.with_batchnorm)({"x": inputs}, taps=names).taps, targets))

    assert mismatch(Improvement.SLACK) > 2 * mismatch()


def test_low_pass_inputs_hold_no_high_frequencies(prepared: PreparedModel, usual: CalibrationResult) -> None:
    def high(result: CalibrationResult) -> float:
        whole = torch.from_numpy(pictures(result))
        return float((whole - low_pass(0.5)(whole)).abs().mean())

    assert high(made(prepared, Improvement.LOW_PASS)) < 0.8 * high(usual)


def test_texture_keeps_the_energies_of_the_prior(prepared: PreparedModel) -> None:
    start = starting_point(prepared, seed=0, count=32, given=None).variable
    wanted = texture_energies(torch.from_numpy(start)).mean(0)

    def gap(*improvements: Improvement) -> float:
        result = made(prepared, Improvement.PLAIN, *improvements, effort=Effort.BALANCED)
        return float((texture_energies(torch.from_numpy(pictures(result))).mean(0) - wanted).abs().mean())

    assert gap(Improvement.TEXTURE) < 0.9 * gap()


@pytest.mark.parametrize("improvement", [Improvement.SOFT_CLASSES, Improvement.HARDNESS])
def test_evidence_of_classes_makes_the_network_surer(
    prepared: PreparedModel, usual: CalibrationResult, improvement: Improvement
) -> None:
    found = made(prepared, improvement, effort=Effort.BALANCED)
    sure = [probabilities(prepared, result.inputs["x"]).max(1).mean() for result in (found, usual)]
    assert sure[0] > sure[1] + 0.05
    assert dict(found.provenance.final_losses)[improvement.value] >= 0


def test_they_compose(prepared: PreparedModel) -> None:
    found = made(prepared, *Improvement)
    assert dict(found.provenance.settings)["improvements"] == " ".join(Improvement)
    assert {"spread", "soft-classes", "hardness", "texture"} <= set(dict(found.provenance.final_losses))
    np.testing.assert_array_equal(found.inputs["x"], made(prepared, *reversed(Improvement)).inputs["x"])


def vectors(folder: Path) -> PreparedModel:
    ones = np.ones(16, np.float32)
    constants = {"w": weights(40, 16), "b_0": ones, "b_1": 0 * ones, "b_2": 0 * ones, "b_3": ones, "v": weights(16, 4)}
    nodes = [node("MatMul", ["x", "w"], "h"), batchnorm("h", "r", "b"), node("MatMul", ["r", "v"], "y")]
    return prepare_model(write(folder, proto(nodes, constants, inputs={"x": ("N", 40)})))


def test_what_a_model_lacks_is_said(tmp_path: Path, digits_model: Any, digits_model_folded: Any) -> None:
    with pytest.raises(CalibrationError, match="improvement crops changes pictures") as caught:
        made(vectors(tmp_path), Improvement.CROPS)
    assert "--improve crops" in caught.value.hint
    folded = prepare_model(digits_model_folded.path)
    with pytest.raises(CalibrationError, match=r"nothing to improve: .* no BatchNorm"):
        AutoCalibrator().calibrate(folded, CalibrationRequest(improvements=(Improvement.SLACK,)))
    with pytest.raises(UsageError, match="--improve slack has no effect on calibrator prior"):
        calibrate(digits_model.path, CalibrationOptions(calibrator="prior", improvements=(Improvement.SLACK,)))


def test_vectors_can_have_those_that_need_no_pictures(tmp_path: Path) -> None:
    model = vectors(tmp_path)
    found = made(model, Improvement.PLAIN, Improvement.SLACK, Improvement.LAYERED, Improvement.HARDNESS)
    assert np.isfinite(found.inputs["x"]).all()
