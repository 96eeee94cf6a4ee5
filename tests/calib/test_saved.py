"""A calibration survives the way to disk and back, and is tied to its model."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zsq_export.calib.base import CalibrationRequest, CalibrationResult
from zsq_export.calib.random_inputs import RandomCalibrator
from zsq_export.calib.saved import load_calibration, save_calibration
from zsq_export.errors import ArtifactError, CalibrationError
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import ChannelOrder, Preprocessing


@pytest.fixture(scope="module")
def prepared(digits_model: Any) -> PreparedModel:
    return prepare_model(digits_model.path)


@pytest.fixture(scope="module")
def result(prepared: PreparedModel) -> CalibrationResult:
    convention = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5,), channel_order=ChannelOrder.BGR)
    made = RandomCalibrator().calibrate(prepared, CalibrationRequest(samples=3, seed=5, preprocessing=convention))
    provenance = replace(made.provenance, settings=(("a", "b"),), final_losses=(("loss", 0.1),))
    return replace(made, provenance=provenance)


def test_everything_comes_back(tmp_path: Path, prepared: PreparedModel, result: CalibrationResult) -> None:
    path = tmp_path / "cal.zsq"
    save_calibration(result, path, prepared)
    again = load_calibration(path, prepared)
    assert again.provenance == result.provenance
    assert again.preprocessing == result.preprocessing
    assert list(again.statistics) == list(result.statistics)
    for name, expected in result.statistics.items():
        found = again.statistics[name]
        for field in ("minimum", "maximum", "channel_axis", "samples"):
            assert getattr(found, field) == getattr(expected, field)
        for field in ("sample_minimum", "sample_maximum", "channel_mean", "channel_variance", "channel_minimum"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
            assert getattr(found, field).dtype == getattr(expected, field).dtype
        np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts)
        assert found.histogram.limit == expected.histogram.limit
    for name, values in result.inputs.items():
        np.testing.assert_array_equal(again.inputs[name], values)


def test_the_bytes_hold_no_time(tmp_path: Path, prepared: PreparedModel, result: CalibrationResult) -> None:
    save_calibration(result, tmp_path / "a", prepared)
    save_calibration(result, tmp_path / "b", prepared)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert {entry.date_time for entry in zipfile.ZipFile(tmp_path / "a").infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_is_refused_for_another_model(
    tmp_path: Path, prepared: PreparedModel, result: CalibrationResult, digits_model_folded: Any
) -> None:
    save_calibration(result, tmp_path / "cal", prepared)
    with pytest.raises(CalibrationError, match="another model"):
        load_calibration(tmp_path / "cal", prepare_model(digits_model_folded.path))


@pytest.mark.parametrize("damage", ["missing", "text", "truncated", "foreign npz", "pickle"])
def test_a_damaged_file_is_refused(
    tmp_path: Path, prepared: PreparedModel, result: CalibrationResult, damage: str
) -> None:
    path = tmp_path / "cal.npz"
    if damage == "text":
        path.write_text("hello")
    elif damage == "foreign npz":
        np.savez(path, x=np.zeros(3))
    elif damage == "pickle":
        np.savez(path, header=np.array([{}], dtype=object))
    elif damage == "truncated":
        save_calibration(result, path, prepared)
        path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CalibrationError, match=r"cal\.npz"):
        load_calibration(path, prepared)


def test_an_existing_file_is_kept(tmp_path: Path, prepared: PreparedModel, result: CalibrationResult) -> None:
    (tmp_path / "cal").write_text("mine")
    with pytest.raises(ArtifactError, match="exists already"):
        save_calibration(result, tmp_path / "cal", prepared)
    assert (tmp_path / "cal").read_text() == "mine"
