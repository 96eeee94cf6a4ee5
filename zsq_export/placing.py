"""Where a picture of any size ends up in a model's input, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.imaging import PictureSize, open_picture
from zsq_export.preprocessing import Fit, Interpolation, Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """``input position = picture position · scale + offset``, in pixels.

    Attributes:
        scale_x, scale_y: of the picture's size.
        left, top: offset; negative where the picture is cropped.
    """

    scale_x: float
    scale_y: float
    left: float
    top: float

    def to_picture(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes [n, 4] as x1, y1, x2, y2 from the input's to the picture's pixels."""
        offset = np.array([self.left, self.top] * 2)
        scale = np.array([self.scale_x, self.scale_y] * 2)
        found: NDArray[np.float64] = (boxes - offset) / scale
        return found


def place_file(file: Path, size: PictureSize, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Reads a picture and fits it as the spec says.

    Returns:
        uint8 [height, width, channels], RGB or grey.

    Raises:
        DataError: the file is no readable picture, or it is too large to be padded.
    """
    picture = open_picture(file, size.channels)
    try:
        placed = place_picture(picture, size, preprocessing)
    except DataError as error:
        raise DataError(f"{file} {error.message}", hint=error.hint) from error
    return np.asarray(placed, np.uint8).reshape(size)


def place_picture(picture: Image, size: PictureSize, preprocessing: Preprocessing) -> Image:
    """Fits a picture of any size.

    Raises:
        DataError: it is larger than the input and is not to be resized.
    """
    from PIL import Image

    if preprocessing.fit is Fit.PAD:
        return _padded(picture, size)
    geometry = geometry_of(picture.width, picture.height, size, preprocessing)
    width, height = round(picture.width * geometry.scale_x), round(picture.height * geometry.scale_y)
    resized = _resized(picture, width, height, preprocessing.interpolation)
    if preprocessing.fit is Fit.STRETCH:
        return resized
    if preprocessing.fit is Fit.CROP:
        left, top = round(-geometry.left), round(-geometry.top)
        return resized.crop((left, top, left + size.width, top + size.height))
    filling = preprocessing.fill if picture.mode == "L" else (preprocessing.fill,) * 3
    canvas = Image.new(picture.mode, (size.width, size.height), filling)
    canvas.paste(resized, (round(geometry.left), round(geometry.top)))
    return canvas


def place_mask(mask: NDArray[np.integer], size: PictureSize, preprocessing: Preprocessing) -> NDArray[np.int64]:
    """A class index per pixel, moved like the picture that it belongs to; beside the picture it is -1.

    Args:
        mask: [rows, columns].
        size: of the input.
        preprocessing: as for the picture.

    Returns:
        int64 [height, width].
    """
    height, width = mask.shape
    geometry = geometry_of(width, height, size, preprocessing)
    columns = np.floor((np.arange(size.width) + 0.5 - geometry.left) / geometry.scale_x).astype(np.int64)
    rows = np.floor((np.arange(size.height) + 0.5 - geometry.top) / geometry.scale_y).astype(np.int64)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    moved = mask[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)[None, :]]
    return np.where(inside, moved, -1).astype(np.int64)


def geometry_of(width: int, height: int, size: PictureSize, preprocessing: Preprocessing) -> Geometry:
    """Where a picture of ``width`` x ``height`` ends up."""
    fit = preprocessing.fit
    if fit is Fit.PAD:
        return Geometry(scale_x=1.0, scale_y=1.0, left=0.0, top=0.0)
    if fit is Fit.STRETCH:
        return Geometry(scale_x=size.width / width, scale_y=size.height / height, left=0.0, top=0.0)
    if fit is Fit.CROP:
        return _cropped(width, height, size, preprocessing.resize)
    scale = min(size.width / width, size.height / height)
    centred = fit is Fit.LETTERBOX
    left = (size.width - round(width * scale)) // 2 if centred else 0
    top = (size.height - round(height * scale)) // 2 if centred else 0
    return Geometry(scale_x=scale, scale_y=scale, left=float(left), top=float(top))


def _cropped(width: int, height: int, size: PictureSize, resize: int | None) -> Geometry:
    """The shorter side to ``resize``, or to 256/224 of the input's, then the centre."""
    if resize is None and (width, height) == (size.width, size.height):
        return Geometry(scale_x=1.0, scale_y=1.0, left=0.0, top=0.0)
    shorter = resize if resize is not None else round(min(size.height, size.width) * 256 / 224)
    scale = shorter / min(width, height)
    wide, high = max(size.width, round(width * scale)), max(size.height, round(height * scale))
    left, top = -((wide - size.width) // 2), -((high - size.height) // 2)
    return Geometry(scale_x=wide / width, scale_y=high / height, left=float(left), top=float(top))


def _resized(picture: Image, width: int, height: int, interpolation: Interpolation) -> Image:
    from PIL import Image

    if interpolation is Interpolation.OPENCV_LINEAR:
        # An affine map looks at four neighbours only, at the pixels' centres, as cv2.resize does by default.
        matrix = (picture.width / width, 0.0, 0.0, 0.0, picture.height / height, 0.0)
        return picture.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    filters = {Interpolation.BICUBIC: Image.Resampling.BICUBIC, Interpolation.BILINEAR: Image.Resampling.BILINEAR}
    return picture.resize((width, height), filters[interpolation])


def _padded(picture: Image, size: PictureSize) -> Image:
    from PIL import Image

    if picture.width > size.width or picture.height > size.height:
        raise DataError(
            f"has {picture.width}x{picture.height} pixels, the model takes {size.width}x{size.height}",
            hint="a picture that is padded cannot be larger",
        )
    pixels = np.asarray(picture)
    gaps = ((0, size.height - picture.height), (0, size.width - picture.width), (0, 0))[: pixels.ndim]
    return Image.fromarray(np.pad(pixels, gaps, mode="edge"))
