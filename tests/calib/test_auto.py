"""Which calibrator runs, and what the user is told when the better one cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_graphs import node
from picture_nets import fixed_batch, picture_net
from torch_nets import export_net

from zsq_export.calib.auto import AutoCalibrator
from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator
from zsq_export.calib.conventions import COLOUR_CONVENTIONS
from zsq_export.calib.prior.calibrator import SAMPLES, PriorCalibrator
from zsq_export.errors import CalibrationError, UnsupportedOpError
from zsq_export.graph.prepare import prepare_model
from zsq_export.preprocessing import Origin
from zsq_export.suggestions import KEEP_BATCHNORM

FEW = CalibrationRequest(samples=9, effort=Effort.FAST)
LENGTHS = {"lengths": np.array([1, 1, 1], np.int64)}
UNSUPPORTED = {"time_axis": 0, "batch_axis": 1}  # each sequence has length 1, so that nothing changes


def calibrated(path: Path) -> CalibrationResult:
    return AutoCalibrator().calibrate(prepare_model(path), FEW)


def test_batchnorm_is_inverted_where_there_is_some(digits_model: Any) -> None:
    result = calibrated(digits_model.path)
    assert result.provenance.calibrator == "bn-inversion"
    assert "convention detected" in result.provenance.notes[0]
    assert KEEP_BATCHNORM not in result.provenance.notes


def test_a_folded_model_gets_the_prior_the_reason_and_the_way_to_export_again(digits_model_folded: Any) -> None:
    result = calibrated(digits_model_folded.path)
    reason, hint, assumption = result.provenance.notes
    assert result.provenance.calibrator == "prior"
    assert reason.startswith("bn-inversion cannot be used: the model holds no BatchNorm statistics")
    for words in ("do_constant_folding=False", "PRESERVE", "optimize=False"):
        assert words in hint
    assert "--mean" in assumption
    assert result.preprocessing is not None
    assert result.preprocessing.origin is Origin.ASSUMED


def test_the_way_to_export_again_keeps_batchnorm(digits_model: Any, digits_model_folded: Any) -> None:
    """The digits fixture is exported exactly so."""
    assert BnInversionCalibrator().obstacle(prepare_model(digits_model.path)) is None
    assert BnInversionCalibrator().obstacle(prepare_model(digits_model_folded.path)) is not None


def test_inversion_itself_refuses_a_folded_model(digits_model_folded: Any) -> None:
    with pytest.raises(CalibrationError, match="no BatchNorm statistics") as caught:
        BnInversionCalibrator().calibrate(prepare_model(digits_model_folded.path), FEW)
    assert "--calibrator prior" in caught.value.hint


def test_several_inputs_get_the_prior(tmp_path: Path) -> None:
    export_net("two_inputs", tmp_path / "m.onnx", dynamo=False, fold=False)
    result = calibrated(tmp_path / "m.onnx")
    notes = result.provenance.notes
    assert result.provenance.calibrator == "prior"
    assert "2 float inputs" in notes[0]
    assert KEEP_BATCHNORM not in notes
    assert any("'in0'" in note and "assumed" in note for note in notes)
    assert {name: array.shape for name, array in result.inputs.items()} == {
        "in0": (9, 3, 32, 32),
        "in1": (9, 1, 32, 32),
    }
    assert not np.array_equal(result.inputs["in0"][:, :1], result.inputs["in1"])
    with pytest.raises(CalibrationError, match="2 float inputs"):
        BnInversionCalibrator().calibrate(prepare_model(tmp_path / "m.onnx"), FEW)


def test_an_operator_without_gradient_leads_to_the_prior(tmp_path: Path) -> None:
    before = [node("ReverseSequence", ["x", "lengths"], "x_in", name="turn", **UNSUPPORTED)]
    path = picture_net(tmp_path, COLOUR_CONVENTIONS[0], before=before, constants=LENGTHS)
    with pytest.raises(UnsupportedOpError):
        BnInversionCalibrator().calibrate(prepare_model(path), FEW)
    result = calibrated(path)
    assert result.provenance.calibrator == "prior"
    assert "no gradients" in result.provenance.notes[0]
    assert "ReverseSequence node 'turn'" in result.provenance.notes[0]
    assert KEEP_BATCHNORM not in result.provenance.notes


def test_behind_the_last_batchnorm_any_operator_will_do(tmp_path: Path) -> None:
    behind = [node("ReverseSequence", ["pooled", "lengths"], "y", name="turn", **UNSUPPORTED)]
    lengths = {"lengths": np.ones(24, np.int64)}
    path = picture_net(tmp_path, COLOUR_CONVENTIONS[0], behind=behind, constants=lengths)
    assert calibrated(path).provenance.calibrator == "bn-inversion"


def test_a_batch_baked_into_the_head_does_no_harm(tmp_path: Path) -> None:
    behind = [node("Reshape", ["pooled", "one_row"], "y")]
    path = picture_net(tmp_path, COLOUR_CONVENTIONS[0], behind=behind, constants={"one_row": np.array([1, 24])})
    result = calibrated(path)
    assert result.provenance.calibrator == "bn-inversion"
    assert result.inputs["x"].shape == (9, 3, 16, 16)


def test_a_batch_baked_in_before_a_batchnorm_leads_to_the_prior(tmp_path: Path) -> None:
    before = [node("Reshape", ["x", "one_picture"], "x_in", name="flat")]
    constants = {"one_picture": np.array([1, 3, 16, 16])}
    result = calibrated(picture_net(tmp_path, COLOUR_CONVENTIONS[0], before=before, constants=constants))
    assert result.provenance.calibrator == "prior"
    assert "'flat'" in result.provenance.notes[0]


@pytest.mark.parametrize("batch", [1, 4])
def test_models_of_fixed_batch_are_calibrated(
    digits_model: Any, digits_model_folded: Any, tmp_path: Path, batch: int
) -> None:
    for model, expected in ((digits_model, "bn-inversion"), (digits_model_folded, "prior")):
        result = calibrated(fixed_batch(model.path, tmp_path / "m.onnx", batch))
        assert result.provenance.calibrator == expected
        assert result.inputs["x"].shape == (9, 1, 16, 16)
        assert result.statistics["logits"].samples == 9


def test_the_prior_makes_as_many_inputs_as_asked_or_usual(digits_model_folded: Any) -> None:
    prepared = prepare_model(digits_model_folded.path)
    usual = PriorCalibrator().calibrate(prepared, CalibrationRequest(effort=Effort.FAST))
    assert len(usual.inputs["x"]) == usual.provenance.samples == SAMPLES[Effort.FAST]
    few = PriorCalibrator().calibrate(prepared, FEW)
    assert len(few.inputs["x"]) == few.provenance.samples == 9
    assert set(few.statistics) == set(usual.statistics)
