"""Pictures that come in pairs: what goes in, and what should come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.imaging import PictureSize, list_pictures, open_picture
from zsq_export.placing import place_mask
from zsq_export.preprocessing import ChannelOrder, Preprocessing

_PAIRED = ("input", "target")
_MASKED = ("images", "masks")


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Files of the same name in two folders."""

    inputs: tuple[Path, ...]
    targets: tuple[Path, ...]


def find_pairs(folder: Path) -> Pairs | None:
    """``input/`` and ``target/``: the picture that the model should give back; None where they are not there.

    Raises:
        DataError: a picture has no counterpart.
    """
    return _find(folder, *_PAIRED)


def find_masks(folder: Path) -> Pairs | None:
    """``images/`` and ``masks/``: the class index of every pixel; None where they are not there.

    Raises:
        DataError: a picture has no counterpart.
    """
    return _find(folder, *_MASKED)


@dataclass(frozen=True, kw_only=True)
class TargetReader:
    """Target pictures at their own size: float32 [channels, rows, columns] in 0..1, in the model's order of planes."""

    files: tuple[Path, ...]
    channels: int
    order: ChannelOrder

    def __call__(self, rows: range) -> Sequence[NDArray[np.float32]]:
        """Reads some of them."""
        return [self._read(self.files[row]) for row in rows]

    def _read(self, file: Path) -> NDArray[np.float32]:
        picture = np.asarray(open_picture(file, self.channels), np.float32)
        planes = picture[..., None] if picture.ndim == 2 else picture
        planes = planes[..., ::-1] if self.order is ChannelOrder.BGR else planes
        return np.ascontiguousarray(planes.transpose(2, 0, 1)) / np.float32(255)


@dataclass(frozen=True, kw_only=True)
class MaskReader:
    """Masks at the size of the input: int64 [rows, columns], -1 beside the picture."""

    files: tuple[Path, ...]
    size: PictureSize
    preprocessing: Preprocessing

    def __call__(self, rows: range) -> Sequence[NDArray[np.int64]]:
        """Reads some of them."""
        return [place_mask(_read_mask(self.files[row]), self.size, self.preprocessing) for row in rows]


def _read_mask(file: Path) -> NDArray[np.integer]:
    from PIL import Image

    try:
        with Image.open(file) as opened:
            mask = np.asarray(opened)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{file} is not a readable mask: {error}") from error
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise DataError(f"{file} is {mask.dtype} {list(mask.shape)}", hint="expected a grey or palette PNG of indices")
    return mask


def _find(folder: Path, first: str, second: str) -> Pairs | None:
    if not ((folder / first).is_dir() and (folder / second).is_dir()):
        return None
    inputs = list_pictures(folder / first)
    others = {path.stem: path for path in list_pictures(folder / second)}
    missing = [path.name for path in inputs if path.stem not in others]
    if missing or not inputs:
        problem = (
            f"{folder / second} lacks the counterpart of {missing[0]}" if missing else f"{folder / first} is empty"
        )
        raise DataError(problem, hint=f"expected files of the same name in {first}/ and {second}/")
    return Pairs(inputs=inputs, targets=tuple(others[path.stem] for path in inputs))
