"""Calibration on the user's own inputs, for those who have some."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Provenance
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
            CalibrationError: no data was given, or the input convention is not known.
            DataError: the data cannot be read or does not fit the model's input.
        """
        from zsq_export.execution.collect import collect_statistics

        obstacle = self.obstacle(model)
        if obstacle:
            raise CalibrationError(obstacle, hint="use another calibrator")
        if request.data is None:
            raise CalibrationError("the calibrator 'data' needs data", hint="give --data FOLDER or --data FILE.npz")
        request.progress(f"reading {request.data}", None)
        entry = model.inputs[0]
        inputs = {entry.name: read_inputs(request.data, entry, request)}
        request.progress("gathering statistics", None)
        samples = len(inputs[entry.name])
        return CalibrationResult(
            statistics=collect_statistics(model.folded, inputs),
            inputs=inputs,
            preprocessing=request.preprocessing,
            provenance=Provenance(calibrator=self.name, seed=request.seed, samples=samples),
        )


def read_inputs(path: Path, entry: InputInfo, request: CalibrationRequest) -> NDArray[np.float32]:
    """Model inputs from a folder (searched through its sub-folders) or an .npz file; a seeded choice if there are more.

    Args:
        path: of the data.
        entry: the model's input, [N, channels, height, width] for pictures.
        request: seed, samples and preprocessing.

    Returns:
        float32 [samples, ...], preprocessed.

    Raises:
        CalibrationError: pictures without a known input convention.
        DataError: nothing there, or it does not fit.
    """
    limit = request.samples or DEFAULT_SAMPLES
    if path.is_dir():
        files = [file for folder in sorted({path, *_folders(path)}) for file in list_pictures(folder)]
        if not files:
            raise DataError(f"{path} holds no pictures", hint="give a folder of .jpg or .png files, or an .npz with x")
        size, convention = _picture_size(entry), _convention(request)
        chosen = (files[index] for index in _choose(len(files), limit, request.seed))
        pixels = np.stack([read_picture(file, size, resize=convention.resize) for file in chosen])
        return apply_preprocessing(pixels, convention)
    array = _read_array(path)
    array = array[_choose(len(array), limit, request.seed)]
    return _from_pixels(array, entry, request) if array.dtype == np.uint8 else _as_inputs(array, entry, path)


def _folders(path: Path) -> list[Path]:
    return [folder for folder in path.rglob("*") if folder.is_dir()]


def _choose(count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """All indices, or a sorted random choice of them."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def _read_array(path: Path) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive["x"]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the array 'x' of {path}: {error}", hint="give an .npz file with x") from error
    if array.ndim < 2 or len(array) == 0:
        raise DataError(f"x in {path} has the shape {list(array.shape)}", hint="expected [samples, ...]")
    return array


def _from_pixels(array: NDArray[Any], entry: InputInfo, request: CalibrationRequest) -> NDArray[np.float32]:
    """uint8 pixels, N×H×W×C or N×C×H×W (or N×H×W for one channel), to model inputs."""
    size, convention = _picture_size(entry), _convention(request)
    pixels = array[..., None] if array.ndim == 3 else array
    if pixels.ndim == 4 and pixels.shape[-1] != size.channels:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[-1] != size.channels:
        raise DataError(f"x has the shape {list(array.shape)}", hint=f"expected pictures of {size.channels} channels")
    fitted = np.stack([fit_pixels(picture, size, resize=convention.resize) for picture in pixels])
    return apply_preprocessing(fitted, convention)


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


def _picture_size(entry: InputInfo) -> PictureSize:
    channels = entry.image_channels
    if channels is None or entry.shape[2] is None or entry.shape[3] is None:
        raise DataError(
            f"input {entry.name!r} {list(entry.shape)} takes no pictures of a fixed size",
            hint="give an .npz file whose x holds float model inputs",
        )
    return PictureSize(height=entry.shape[2], width=entry.shape[3], channels=channels)


def _convention(request: CalibrationRequest) -> Preprocessing:
    if request.preprocessing is None:
        raise CalibrationError(
            "the input convention is needed to turn pictures into inputs",
            hint="give --mean and --std, --input-range or --preprocessing",
        )
    return request.preprocessing
