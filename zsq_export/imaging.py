"""Pictures in, model input out: reading, resizing, cropping, normalising. Calibration and validation share it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsq_export.device.arrays import normalise
from zsq_export.device.spec import Pixels
from zsq_export.errors import DataError
from zsq_export.preprocessing import ChannelOrder, Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File name endings (lower case) that are taken for pictures."""


class PictureSize(NamedTuple):
    """What a picture has to become before it is normalised: rows, columns and colour planes (1 or 3)."""

    height: int
    width: int
    channels: int


def list_pictures(folder: Path) -> tuple[Path, ...]:
    """The picture files directly inside a folder, sorted by name; hidden files are left out."""
    return tuple(
        sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
    )


def read_picture(file: Path, size: PictureSize, *, resize: int | None = None) -> NDArray[np.uint8]:
    """Reads one picture and brings it to the model's size.

    Args:
        file: any picture that Pillow reads; an EXIF rotation is applied, an alpha channel is dropped.
        size: wanted.
        resize: shorter side before the centre crop, see :func:`fit_picture`.

    Returns:
        uint8 [height, width, channels], RGB or grey.

    Raises:
        DataError: the file is no readable picture.
    """
    return _as_array(fit_picture(open_picture(file, size.channels), size, resize=resize), size)


def open_picture(file: Path, channels: int) -> Image:
    """Reads a picture at its own size, RGB or grey (1 channel); an EXIF rotation is applied, an alpha channel dropped.

    Raises:
        DataError: the file is no readable picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            return ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file} is not a readable picture: {error}", hint="remove or replace the file") from error


def fit_pixels(pixels: NDArray[np.uint8], size: PictureSize, *, resize: int | None = None) -> NDArray[np.uint8]:
    """Brings one picture that is an array already to the model's size.

    Args:
        pixels: uint8 [rows, columns, channels].
        size: wanted; its channels are those of ``pixels``.
        resize: see :func:`fit_picture`.

    Returns:
        uint8 [height, width, channels].
    """
    from PIL import Image

    if pixels.shape[:2] == size[:2]:
        return pixels
    picture = Image.fromarray(pixels[..., 0] if size.channels == 1 else pixels)
    return _as_array(fit_picture(picture, size, resize=resize), size)


def fit_picture(picture: Image, size: PictureSize, *, resize: int | None = None) -> Image:
    """Resizes the shorter side (Pillow bicubic, antialiased), then crops the centre.

    The usual evaluation transform of ImageNet classifiers. A picture that has the wanted size already is left alone,
    unless a ``resize`` is asked for.

    Args:
        picture: of any size.
        size: wanted.
        resize: shorter side before the crop, in pixels; None: 256/224 of the wanted shorter side. Never less than
            what the crop needs.

    Returns:
        The picture at the wanted height and width.
    """
    from PIL import Image

    if resize is None and picture.size == (size.width, size.height):
        return picture
    shorter = resize if resize is not None else round(min(size.height, size.width) * 256 / 224)
    scale = shorter / min(picture.size)
    width = max(size.width, round(picture.width * scale))
    height = max(size.height, round(picture.height * scale))
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size.width) // 2, (height - size.height) // 2
    return resized.crop((left, top, left + size.width, top + size.height))


def apply_preprocessing(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """``(pixel / 255 - mean) / std`` per plane; mean and std are in the order of the model's planes.

    Args:
        pixels: uint8 [samples, rows, columns, channels], RGB or grey.
        preprocessing: the convention; with BGR the planes are reversed first.

    Returns:
        float32 [samples, channels, rows, columns], contiguous.

    Raises:
        DataError: the spec has another number of channels than the pixels.
    """
    for values in (preprocessing.mean, preprocessing.std):
        if len(values) not in (1, pixels.shape[-1]):
            raise DataError(
                f"the preprocessing has {len(values)} values per constant but the pictures have "
                f"{pixels.shape[-1]} channels",
                hint=f"give one value or {pixels.shape[-1]} to --mean and --std",
            )
    return normalise(pixels, pixels_of(preprocessing))


def pixels_of(preprocessing: Preprocessing) -> Pixels:
    """The convention as the device is told it."""
    reverse = preprocessing.channel_order is ChannelOrder.BGR
    return Pixels(mean=preprocessing.mean, std=preprocessing.std, reverse=reverse)


def _as_array(picture: Image, size: PictureSize) -> NDArray[np.uint8]:
    return np.asarray(picture, np.uint8).reshape(size)
