"""Calibration on the user's own inputs, and the random baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zsq_export.calib.base import CalibrationRequest
from zsq_export.calib.data import DataCalibrator
from zsq_export.calib.random_inputs import RandomCalibrator
from zsq_export.errors import CalibrationError, DataError
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel


@pytest.fixture(scope="module")
def prepared(digits_model: Any) -> PreparedModel:
    return prepare_model(digits_model.path)


def inputs_of(prepared: PreparedModel, path: Path, digits: Any, **options: Any) -> Any:
    request = CalibrationRequest(data=path, preprocessing=digits.preprocessing, **options)
    return DataCalibrator().calibrate(prepared, request).inputs["x"]


def test_pixels_floats_and_pictures_give_the_same_inputs(
    prepared: PreparedModel, digits_model: Any, tmp_path: Path
) -> None:
    pixels = digits_model.x_pixels[:12]
    np.savez(tmp_path / "nhwc.npz", x=pixels)
    np.savez(tmp_path / "nchw.npz", x=pixels.transpose(0, 3, 1, 2))
    np.savez(tmp_path / "nhw.npz", x=pixels[..., 0])
    np.savez(tmp_path / "float.npz", x=digits_model.x_test[:12].astype(np.float64))
    for index, picture in enumerate(pixels):
        folder = tmp_path / "pictures" / ("a" if index < 6 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / f"{index:02}.png")
    for name in ("nhwc.npz", "nchw.npz", "nhw.npz", "float.npz", "pictures"):
        found = inputs_of(prepared, tmp_path / name, digits_model)
        np.testing.assert_allclose(found, digits_model.x_test[:12], atol=1e-6, err_msg=name)


def test_of_many_inputs_a_seeded_choice_is_taken(prepared: PreparedModel, digits_model: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits_model.x_test)
    first, again, other = (
        inputs_of(prepared, tmp_path / "x.npz", digits_model, samples=20, seed=seed) for seed in (0, 0, 1)
    )
    assert len(first) == 20
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_convention_of_pictures_is_detected_if_it_is_not_given(
    prepared: PreparedModel, digits_model: Any, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", x=digits_model.x_pixels[:4])
    result = DataCalibrator().calibrate(prepared, CalibrationRequest(data=tmp_path / "x.npz"))
    assert result.preprocessing is not None
    assert result.preprocessing.origin.value == "detected"
    assert "detected" in result.provenance.notes[0]


def test_every_tensor_gets_statistics(prepared: PreparedModel, digits_model: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits_model.x_pixels[:4])
    request = CalibrationRequest(data=tmp_path / "x.npz", preprocessing=digits_model.preprocessing)
    result = DataCalibrator().calibrate(prepared, request)
    outputs = {value.name for node in prepared.folded.graph for value in node.outputs}
    assert len(outputs & result.statistics.keys()) > 10
    assert result.provenance.samples == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot read"),
        (lambda path: np.savez(path, y=np.zeros(3)), "cannot read the array 'x'"),
        (lambda path: np.savez(path, x=np.zeros((0, 1, 16, 16), np.float32)), "shape"),
        (lambda path: np.savez(path, x=np.zeros((2, 1, 15, 16), np.float32)), "float32"),
        (lambda path: np.savez(path, x=np.zeros((2, 1, 16, 16), np.int32)), "int32"),
        (lambda path: np.savez(path, x=np.zeros((2, 16, 16, 3), np.uint8)), "shape"),
        (lambda path: path.mkdir(), "no pictures"),
    ],
)
def test_data_that_does_not_fit_is_named(
    prepared: PreparedModel, digits_model: Any, tmp_path: Path, make: Any, message: str
) -> None:
    path = tmp_path / "x.npz"
    make(path)
    with pytest.raises(DataError, match=message):
        inputs_of(prepared, path, digits_model)


def test_no_data_no_calibration(prepared: PreparedModel) -> None:
    with pytest.raises(CalibrationError, match="needs data"):
        DataCalibrator().calibrate(prepared, CalibrationRequest())


def test_random_inputs_are_one_uniform_sample_by_default(prepared: PreparedModel) -> None:
    result = RandomCalibrator().calibrate(prepared, CalibrationRequest())
    values = result.inputs["x"]
    assert values.shape == (1, 1, 16, 16)
    assert values.dtype == np.float32
    assert 0 <= values.min() < 0.1
    assert 0.9 < values.max() < 1
    assert result.provenance.notes
    again = RandomCalibrator().calibrate(prepared, CalibrationRequest())
    np.testing.assert_array_equal(values, again.inputs["x"])
    assert len(RandomCalibrator().calibrate(prepared, CalibrationRequest(samples=5)).inputs["x"]) == 5
