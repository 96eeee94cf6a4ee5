from __future__ import annotations

from pathlib import Path

import pytest
from digits import DigitsModel

import zsq_export
from zsq_export.calibration_record import PICTURES_NAME, RANGES_NAME, read_calibration_record
from zsq_export.errors import ArtifactError
from zsq_export.options import CalibrationOptions


@pytest.fixture(scope="module")
def artifact(digits_model: DigitsModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record") / "out"
    options = CalibrationOptions(calibrator="prior", samples=24)
    zsq_export.convert(digits_model.path, targets=["onnxruntime"], output=folder, calibration=options)
    return folder


def test_an_artifact_shows_what_it_was_calibrated_on(artifact: Path) -> None:
    record = read_calibration_record(artifact)
    assert record.pictures == artifact / PICTURES_NAME
    low, high = record.seen["x"]
    assert low < high
    files = {entry.name for entry in zsq_export.read_artifact(artifact).manifest.files}
    assert {PICTURES_NAME, RANGES_NAME} <= files


def test_real_data_is_never_kept(digits_model: DigitsModel, tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "real.npz", x=digits_model.x_test[:16])
    options = CalibrationOptions(calibrator="data", data=tmp_path / "real.npz")
    zsq_export.convert(digits_model.path, targets=["onnxruntime"], output=tmp_path / "out", calibration=options)
    record = read_calibration_record(tmp_path / "out")
    assert record.pictures is None and record.seen


def test_an_older_artifact_has_an_empty_record(tmp_path: Path) -> None:
    assert read_calibration_record(tmp_path).seen == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seen": {"a": 1}}', '{"seen": {"a": [1]}}'])
def test_a_damaged_record_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / RANGES_NAME).write_text(text)
    with pytest.raises(ArtifactError, match="damaged"):
        read_calibration_record(tmp_path)
