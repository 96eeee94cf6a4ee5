"""The synthetic inputs to look at: thumbnails side by side in one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from zsq_export.preprocessing import ChannelOrder, Preprocessing

FloatArray = NDArray[np.float32]

COLUMNS = 8
_SIDE = 96
"""Of a thumbnail, in pixels; smaller inputs are enlarged by whole factors, larger ones reduced."""
_GAP = 4
_LEAST_SIDE = 4
_COLOURS = (1, 3)


def contact_sheet(
    inputs: Mapping[str, FloatArray], preprocessing: Preprocessing | None, *, most: int = 2 * COLUMNS
) -> bytes | None:
    """Thumbnails of some inputs as PNG; the same inputs give the same bytes.

    Pictures are shown as they were before normalisation. What is no picture is shown as a map of its last two axes,
    black for the smallest number and white for the largest. Gaps are transparent.

    Args:
        inputs: graph input name -> float32 [samples, ...]; the first one that can be shown is.
        preprocessing: of pictures; None: there are none.
        most: how many, at equal distances.

    Returns:
        The file's content; None where no input has two axes to show.
    """
    for array in inputs.values():
        picked = array[[index * len(array) // most for index in range(most)]] if len(array) > most else array
        tiles = _pictures(picked, preprocessing) if preprocessing is not None else None
        tiles = tiles if tiles is not None else _maps(picked)
        if tiles is not None and len(tiles):
            return _png(_arranged([_fitted(tile) for tile in tiles]))
    return None


def _pictures(array: FloatArray, preprocessing: Preprocessing) -> NDArray[np.uint8] | None:
    """uint8 [samples, rows, columns, 3], RGB; None if these are no pictures."""
    planes = _channels_last(array)
    if planes is None:
        return None
    pixels = planes * np.asarray(preprocessing.std, np.float32) + np.asarray(preprocessing.mean, np.float32)
    if preprocessing.channel_order is ChannelOrder.BGR:
        pixels = pixels[..., ::-1]
    return _to_bytes(np.broadcast_to(pixels, (*pixels.shape[:-1], 3)))


def _channels_last(array: FloatArray) -> FloatArray | None:
    if array.ndim != 4:
        return None
    if array.shape[1] in _COLOURS:
        return array.transpose(0, 2, 3, 1)
    return array if array.shape[3] in _COLOURS else None


def _maps(array: FloatArray) -> NDArray[np.uint8] | None:
    """uint8 [samples, rows, columns, 3], grey; None where there are no two axes."""
    if array.ndim < 3:
        return None
    flat = array.reshape(len(array), -1, array.shape[-1])
    if min(flat.shape[1:]) < _LEAST_SIDE:
        return None
    low, high = float(flat.min()), float(flat.max())
    scaled = (flat - low) / ((high - low) or 1.0)
    return _to_bytes(np.repeat(scaled[..., None], 3, axis=3))


def _to_bytes(pixels: FloatArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _fitted(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """No side longer than a thumbnail's; a small picture keeps its pixels, each as a block."""
    from PIL import Image

    longest = max(tile.shape[:2])
    if longest <= _SIDE:
        factor = _SIDE // longest
        return tile.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = (max(1, round(side * _SIDE / longest)) for side in tile.shape[:2])
    return np.asarray(Image.fromarray(tile).resize((width, height), Image.Resampling.LANCZOS))


def _arranged(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """RGBA, in rows of ``COLUMNS``."""
    height, width = tiles[0].shape[:2]
    columns, rows = min(COLUMNS, len(tiles)), math.ceil(len(tiles) / COLUMNS)
    sheet = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 4), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // COLUMNS * (height + _GAP), index % COLUMNS * (width + _GAP)
        sheet[top : top + height, left : left + width, :3] = tile
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
