"""Calibration on the user's own inputs, for those who have some."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Provenance
from zsq_export.calib.convention import detect_convention
from zsq_export.calib.synthesis import PictureInput, sole_picture
from zsq_export.errors import CalibrationError, DataError
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.imaging import PictureSize, apply_preprocessing, fit_pixels, list_pictures, read_picture
from zsq_export.preprocessing import Preprocessing

DEFAULT_SAMPLES = 300
"""What NNCF takes by default, so that comparisons are fair."""


class DataCalibrator:
    """Real inputs from a folder of pictures, or from the array ``x`` of an .npz file."""

    name = "data"
    summary = "your own inputs (--data): a folder of pictures, or .npz with x"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: more than one input."""
        return f"the model has {len(model.inputs)} inputs, not one" if len(model.inputs) != 1 else None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Reads up to ``request.samples`` (default 300) inputs and watches the folded model on them.

        Raises:
            CalibrationError: no data was given, or the model has several inputs.
            DataError: the data cannot be read or does not fit the model's input.
        """
        from zsq_export.execution.collect import collect_statistics

        obstacle = self.obstacle(model)
        if obstacle:
            raise CalibrationError(obstacle, hint="use another calibrator")
        if request.data is None:
            raise CalibrationError("the calibrator 'data' needs data", hint="give --data FOLDER or --data FILE.npz")
        request.progress(f"reading {request.data}", None)
        inputs, convention, notes = read_inputs(request.data, model, request)
        request.progress("gathering statistics", None)
        feeds = {model.inputs[0].name: inputs}
        return CalibrationResult(
            statistics=collect_statistics(model.folded, feeds),
            inputs=feeds,
            preprocessing=convention,
            provenance=Provenance(calibrator=self.name, seed=request.seed, samples=len(inputs), notes=notes),
        )


def read_inputs(
    path: Path, model: PreparedModel, request: CalibrationRequest
) -> tuple[NDArray[np.float32], Preprocessing | None, tuple[str, ...]]:
    """Model inputs from a folder (searched through its sub-folders) or an .npz file; a seeded choice if there are more.

    Args:
        path: of the data.
        model: with one input.
        request: seed, samples and preprocessing; without preprocessing the convention is detected for pictures.

    Returns:
        float32 [samples, ...] as the model takes them, their convention, and notes for the user.

    Raises:
        DataError: nothing there, or it does not fit.
    """
    picture = sole_picture(model)
    resize = None if request.preprocessing is None else request.preprocessing.resize
    found = _read_folder(path, model.inputs[0], picture, request, resize) if path.is_dir() else _read_npz(path, request)
    if found.dtype != np.uint8:
        return _as_inputs(found, model.inputs[0], path), request.preprocessing, ()
    if picture is None:
        raise _no_pictures(model.inputs[0])
    pixels = found if path.is_dir() else _fit(found, picture, resize)
    convention, notes = _convention(model, picture, request)
    return picture.arrange(apply_preprocessing(pixels, convention)), convention, notes


def _convention(
    model: PreparedModel, picture: PictureInput, request: CalibrationRequest
) -> tuple[Preprocessing, tuple[str, ...]]:
    if request.preprocessing is not None:
        return request.preprocessing, ()
    detection = detect_convention(model, picture)
    return detection.preprocessing, (detection.note,)


def _read_folder(
    path: Path, entry: InputInfo, picture: PictureInput | None, request: CalibrationRequest, resize: int | None
) -> NDArray[np.uint8]:
    folders = sorted({path, *(inner for inner in path.rglob("*") if inner.is_dir())})
    files = [file for folder in folders for file in list_pictures(folder)]
    if not files:
        raise DataError(f"{path} holds no pictures", hint="give a folder of .jpg or .png files, or an .npz with x")
    if picture is None:
        raise _no_pictures(entry)
    chosen = (files[index] for index in _choose(len(files), request))
    return np.stack([read_picture(file, _size(picture), resize=resize) for file in chosen])


def _read_npz(path: Path, request: CalibrationRequest) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive["x"]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the array 'x' of {path}: {error}", hint="give an .npz file with x") from error
    if array.ndim < 2 or len(array) == 0:
        raise DataError(f"x in {path} has the shape {list(array.shape)}", hint="expected [samples, ...]")
    return array[_choose(len(array), request)]


def _choose(count: int, request: CalibrationRequest) -> NDArray[np.int64]:
    """All indices, or a sorted random choice of as many as were asked for."""
    limit = request.samples or DEFAULT_SAMPLES
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(request.seed).choice(count, limit, replace=False))


def _fit(array: NDArray[np.uint8], picture: PictureInput, resize: int | None) -> NDArray[np.uint8]:
    """Pixels N×H×W×C, N×C×H×W, or N×H×W for one channel, as N×H×W×C of the model's size."""
    pixels = array[..., None] if array.ndim == 3 else array
    if pixels.ndim == 4 and pixels.shape[-1] != picture.channels:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[-1] != picture.channels:
        raise DataError(
            f"x has the shape {list(array.shape)}", hint=f"expected pictures of {picture.channels} channels"
        )
    return np.stack([fit_pixels(np.ascontiguousarray(one), _size(picture), resize=resize) for one in pixels])


def _as_inputs(array: NDArray[Any], entry: InputInfo, path: Path) -> NDArray[np.float32]:
    """Floats are model inputs already."""
    expected = entry.shape[1:]
    fits = len(expected) == array.ndim - 1 and all(
        want in (None, have) for want, have in zip(expected, array.shape[1:], strict=True)
    )
    if array.dtype.kind != "f" or not fits:
        raise DataError(
            f"x in {path} is {array.dtype} {list(array.shape)}, input {entry.name!r} is {['N', *expected]}",
            hint="give uint8 pixels, or floats of the input's shape",
        )
    return np.ascontiguousarray(array, np.float32)


def _size(picture: PictureInput) -> PictureSize:
    return PictureSize(height=picture.height, width=picture.width, channels=picture.channels)


def _no_pictures(entry: InputInfo) -> DataError:
    return DataError(
        f"input {entry.name!r} {list(entry.shape)} takes no pictures",
        hint="give an .npz file whose x holds float model inputs",
    )
