"""Picture folders: which files, and which class each one is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.imaging import PICTURE_SUFFIXES, list_pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureList:
    """Pictures in a fixed order.

    Attributes:
        files: paths.
        labels: int64, one class index per file, or None.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64] | None


def list_labelled(folder: Path) -> PictureList:
    """Lists the pictures of a class folder or of a flat folder, see :func:`zsq_export.validation.data.load_labelled`.

    Raises:
        DataError: no pictures, or a label file that does not fit them.
    """
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    found = _list_by_class(folder, classes) if any(list_pictures(entry) for entry in classes) else _list_flat(folder)
    if not found.files:
        raise DataError(
            f"{folder} holds no pictures", hint=f"expected files that end in {', '.join(sorted(PICTURE_SUFFIXES))}"
        )
    return found


def _list_by_class(folder: Path, classes: Sequence[Path]) -> PictureList:
    index = _class_index(folder, [entry.name for entry in classes])
    labelled = [(file, index[entry.name]) for entry in classes for file in list_pictures(entry)]
    return PictureList(
        files=tuple(file for file, _ in labelled), labels=np.array([label for _, label in labelled], np.int64)
    )


def _class_index(folder: Path, names: list[str]) -> dict[str, int]:
    if all(name.isdecimal() for name in names):
        return {name: int(name) for name in names}
    order_file = folder / "labels.txt"
    if not order_file.is_file():
        return {name: rank for rank, name in enumerate(names)}
    order = [line.strip() for line in order_file.read_text().splitlines() if line.strip()]
    unknown = [name for name in names if name not in order]
    if unknown:
        raise DataError(
            f"{order_file} does not list the class folder {unknown[0]!r}",
            hint="expected one class folder name per line, in the order of the model's classes",
        )
    return {name: order.index(name) for name in names}


def _list_flat(folder: Path) -> PictureList:
    for name, delimiter in (("labels.csv", ","), ("labels.txt", " ")):
        if (folder / name).is_file():
            return _list_from_file(folder / name, delimiter)
    return PictureList(files=list_pictures(folder), labels=None)


def _list_from_file(label_file: Path, delimiter: str) -> PictureList:
    with label_file.open(newline="") as text:
        rows = [row for row in csv.reader(text, delimiter=delimiter, skipinitialspace=True) if row]
    if rows and not (label_file.parent / rows[0][0]).exists() and not rows[0][-1].strip().isdecimal():
        rows = rows[1:]
    labelled = [_parse_row(label_file, number, row) for number, row in enumerate(rows, start=1)]
    return PictureList(
        files=tuple(file for file, _ in labelled), labels=np.array([label for _, label in labelled], np.int64)
    )


def _parse_row(label_file: Path, number: int, row: list[str]) -> tuple[Path, int]:
    if len(row) != 2 or not row[1].strip().isdecimal():
        raise DataError(
            f"{label_file}, entry {number}: {row!r}",
            hint="expected a picture's file name and its class index on each line",
        )
    file = label_file.parent / row[0].strip()
    if not file.is_file():
        raise DataError(f"{label_file}, entry {number}: there is no picture {file}")
    return file, int(row[1])
