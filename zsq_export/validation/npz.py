"""``.npz`` files with samples and labels."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError

_ONE_HOT_HINT = "for one-hot labels save y.argmax(axis=1)"
_HINT = "save it with numpy.savez(file, x=samples, y=class_indices); y is optional"


@dataclass(frozen=True, kw_only=True, eq=False)
class NpzContent:
    """Arrays of one file.

    Attributes:
        x: [samples, ...], uint8 or floating.
        y: class indices, int64 [samples], or None.
        values: what else y holds, one array of numbers per sample; None where it holds class indices or is not there.
    """

    x: NDArray[Any]
    y: NDArray[np.int64] | None
    values: NDArray[Any] | None = None


def read_npz(path: Path) -> NpzContent:
    """Reads ``x`` and, if it is there, ``y``.

    Raises:
        DataError: no .npz file, no ``x``, or a type or length that does not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "x" not in archive:
                raise DataError(f"{path} has no array x, only: {', '.join(archive.files) or 'nothing'}", hint=_HINT)
            x = archive["x"]
            y = archive.get("y")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}", hint=_HINT) from error
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{path}: x is {x.dtype}, expected uint8 pixels or floats", hint="convert it with x.astype")
    if x.ndim < 2 or not len(x):
        raise DataError(f"{path}: x is {list(x.shape)}, expected [samples, ...] with at least one sample")
    if y is None or _are_classes(y, len(x)):
        return NpzContent(x=x, y=None if y is None else _labels(path, y, len(x)))
    return NpzContent(x=x, y=None, values=_values(path, y, len(x)))


def _are_classes(y: NDArray[Any], samples: int) -> bool:
    return y.shape in ((samples,), (samples, 1)) and np.issubdtype(y.dtype, np.integer)


def _values(path: Path, y: NDArray[Any], samples: int) -> NDArray[Any]:
    if y.ndim < 1 or len(y) != samples or not np.issubdtype(y.dtype, np.number):
        raise DataError(
            f"{path}: y is {y.dtype} {list(y.shape)}, expected one integer class index, or one array of numbers, for "
            f"each of {samples} samples",
            hint=_ONE_HOT_HINT,
        )
    if y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        raise DataError(f"{path}: y holds one-hot labels {list(y.shape)}", hint=_ONE_HOT_HINT)
    return y


def _labels(path: Path, y: NDArray[Any], samples: int) -> NDArray[np.int64]:
    if y.min() < 0:
        raise DataError(f"{path}: y holds the negative class index {int(y.min())}", hint="classes count from 0")
    return y.reshape(samples).astype(np.int64)
