"""Labelled data from disk: picture folders and ``.npz`` files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.graph.prepared import InputInfo
from zsq_export.imaging import PictureSize, apply_preprocessing, fit_pixels
from zsq_export.metrics.base import DataForm, Targets
from zsq_export.placing import place_file
from zsq_export.preprocessing import Fit, Preprocessing
from zsq_export.validation.coco import find_annotations, read_coco
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.folders import list_labelled
from zsq_export.validation.npz import NpzContent, read_npz
from zsq_export.validation.pairs import MaskReader, TargetReader, find_masks, find_pairs
from zsq_export.validation.samples import Feeds, Samples

_DEFAULT_SIDE = 224
_PREPROCESSING_HINT = "say how pictures become inputs: --mean and --std, or --preprocessing FILE"


def load_labelled(path: Path, input: InputInfo, preprocessing: Preprocessing | None) -> Samples:
    """Opens real data for one model input; pictures are decoded batch by batch.

    What ``path`` may be:

    1. a folder with one sub-folder per class. The class index is the sub-folder's name if all are integers, else the
       line of the name in ``labels.txt`` if that file is there, else the rank of the name in sorted order;
    2. a flat folder of pictures, with ``labels.csv`` (``file,class index``) or ``labels.txt`` (``file class index``),
       or without either: then nothing is labelled and only fidelity can be measured;
    3. an ``.npz`` file with ``x`` and optionally ``y``: ``x`` is uint8 pixels, NHWC or NCHW, that are resized like
       pictures and preprocessed, or floating-point numbers in the input's own shape that are taken as they are; ``y``
       is one class index per sample, or an array of any other shape per sample;
    4. COCO's annotations (a .json file, or a folder that holds one) with their pictures: boxes are known;
    5. a folder with ``input/`` and ``target/``, pictures of the same names: the picture that should come out is known.
       They are never resized; those smaller than the input are continued by their edge;
    6. a folder with ``images/`` and ``masks/``, of the same names: the class index of every pixel is known.

    Pictures are fitted as :class:`zsq_export.preprocessing.Fit` says. A side that the model leaves open
    is ``preprocessing.resize``, or 224, for folders, and the pixels' own for ``.npz``.

    Args:
        path: folder or file.
        input: the model input that the data is for.
        preprocessing: how pixels become inputs; only float arrays can do without.

    Raises:
        DataError: nothing usable there; the message names the file, what was expected and what was found. Reading a
            batch later raises it, too, for a picture that turns out to be broken.
    """
    if path.is_dir() or path.suffix.lower() == ".json":
        return _picture_samples(path, input, preprocessing)
    if not path.exists():
        raise DataError(f"there is no data at {path}", hint="give a folder of pictures or an .npz file")
    if path.suffix.lower() != ".npz":
        raise DataError(
            f"{path} is neither a folder nor an .npz file",
            hint="give a folder of pictures, an .npz file or COCO's .json file",
        )
    return _npz_samples(path, read_npz(path), input, preprocessing)


@dataclass(frozen=True, kw_only=True)
class _PictureReader:
    files: tuple[Path, ...]
    name: str
    size: PictureSize
    preprocessing: Preprocessing

    def __call__(self, rows: range) -> Feeds:
        pixels = [place_file(self.files[row], self.size, self.preprocessing) for row in rows]
        return {self.name: apply_preprocessing(np.stack(pixels), self.preprocessing)}


@dataclass(frozen=True, kw_only=True)
class _PixelReader:
    pixels: NDArray[np.uint8]
    name: str
    size: PictureSize
    preprocessing: Preprocessing

    def __call__(self, rows: range) -> Feeds:
        resize = self.preprocessing.resize
        fitted = [fit_pixels(self.pixels[row], self.size, resize=resize) for row in rows]
        return {self.name: apply_preprocessing(np.stack(fitted), self.preprocessing)}


@dataclass(frozen=True, kw_only=True)
class _ArrayReader:
    path: Path
    values: NDArray[np.floating]
    name: str

    def __call__(self, rows: range) -> Feeds:
        values = np.asarray(self.values[rows.start : rows.stop], np.float32)
        if not np.isfinite(values).all():
            raise DataError(f"{self.path}: x holds NaN or infinity in samples {rows.start}..{rows.stop - 1}")
        return {self.name: values}


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of pictures: in which form, and a reader, or labels."""

    form: DataForm
    targets: Callable[[range], Targets] | None = None
    labels: NDArray[np.int64] | None = None


def _picture_samples(path: Path, input: InputInfo, preprocessing: Preprocessing | None) -> Samples:
    spec = _require(preprocessing, path)
    side = spec.resize or _DEFAULT_SIDE
    size = PictureSize(input.shape[2] or side, input.shape[3] or side, _channels(input, path))
    files, known, spec = _find_pictures(path, size, spec)
    return Samples(
        description=f"{len(files)} pictures in {path}",
        origin=InputOrigin.REAL,
        count=len(files),
        labels=known.labels,
        read=_PictureReader(files=files, name=input.name, size=size, preprocessing=spec),
        form=known.form,
        targets=known.targets,
    )


def _find_pictures(
    path: Path, size: PictureSize, spec: Preprocessing
) -> tuple[tuple[Path, ...], _Known, Preprocessing]:
    """Looks at what a folder holds, the most telling first."""
    annotations = path if path.is_file() else find_annotations(path)
    if annotations is not None:
        found = read_coco(annotations, size, spec)
        return found.files, _Known(form=DataForm.BOXES, targets=lambda rows: [found.boxes[row] for row in rows]), spec
    pairs = find_pairs(path)
    if pairs is not None:
        targets = TargetReader(files=pairs.targets, channels=size.channels, order=spec.channel_order)
        return pairs.inputs, _Known(form=DataForm.PICTURES, targets=targets), replace(spec, fit=Fit.PAD)
    masked = find_masks(path)
    if masked is not None:
        masks = MaskReader(files=masked.targets, size=size, preprocessing=spec)
        return masked.inputs, _Known(form=DataForm.MASKS, targets=masks), spec
    pictures = list_labelled(path)
    form = DataForm.ANYTHING if pictures.labels is None else DataForm.CLASSES
    return pictures.files, _Known(form=form, labels=pictures.labels), spec


def _npz_samples(path: Path, content: NpzContent, input: InputInfo, preprocessing: Preprocessing | None) -> Samples:
    if content.x.dtype == np.uint8:
        reader: _PixelReader | _ArrayReader = _pixel_reader(path, content.x, input, _require(preprocessing, path))
    else:
        _check_shape(path, content.x.shape, input)
        reader = _ArrayReader(path=path, values=content.x, name=input.name)
    return Samples(
        description=f"{len(content.x)} samples in {path}",
        origin=InputOrigin.REAL,
        count=len(content.x),
        labels=content.y,
        read=reader,
        form=_npz_form(content),
        targets=None if content.values is None else _Rows(content.values),
    )


@dataclass(frozen=True)
class _Rows:
    values: NDArray[Any]

    def __call__(self, rows: range) -> Targets:
        return self.values[rows.start : rows.stop]


def _npz_form(content: NpzContent) -> DataForm:
    if content.y is not None:
        return DataForm.CLASSES
    return DataForm.ANYTHING if content.values is None else DataForm.VALUES


def _pixel_reader(path: Path, x: NDArray[np.uint8], input: InputInfo, preprocessing: Preprocessing) -> _PixelReader:
    channels = _channels(input, path)
    if x.ndim == 3 and channels == 1:
        x = x[..., None]
    if x.ndim == 4 and x.shape[-1] != channels and x.shape[1] == channels:
        x = x.transpose(0, 2, 3, 1)
    if x.ndim != 4 or x.shape[-1] != channels:
        raise DataError(
            f"{path}: x is uint8 {list(x.shape)}, expected pixels [samples, rows, columns, {channels}]"
            f" or [samples, {channels}, rows, columns] for input {input.name!r}",
            hint="float arrays are taken as model inputs without preprocessing",
        )
    size = PictureSize(input.shape[2] or x.shape[1], input.shape[3] or x.shape[2], channels)
    return _PixelReader(pixels=x, name=input.name, size=size, preprocessing=preprocessing)


def _check_shape(path: Path, shape: tuple[int, ...], input: InputInfo) -> None:
    expected = input.shape[1:]
    fits = len(shape) == len(input.shape) and all(
        want is None or want == got for want, got in zip(expected, shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("?" if side is None else str(side) for side in expected)
        raise DataError(
            f"{path}: x is float {list(shape)}, expected [samples, {wanted}] for input {input.name!r}",
            hint="uint8 arrays are taken as pixels and resized",
        )


def _channels(input: InputInfo, path: Path) -> int:
    channels = input.image_channels
    if channels is None:
        shape = ["?" if side is None else side for side in input.shape]
        raise DataError(
            f"{path} holds pictures, but input {input.name!r} with shape {shape} takes no pictures [N, 1 or 3, H, W]",
            hint="give an .npz file with a float array x in the input's own shape",
        )
    return channels


def _require(preprocessing: Preprocessing | None, path: Path) -> Preprocessing:
    if preprocessing is None:
        raise DataError(f"{path} holds pixels, and no preprocessing is known for this model", hint=_PREPROCESSING_HINT)
    return preprocessing
