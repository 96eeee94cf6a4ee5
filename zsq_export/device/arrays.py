"""Arrays in and out: the inputs of a bundle, hashes, and outputs as text."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spec import BundleSpec, Pixels, TensorFile

_LEVEL = 6


@dataclass(frozen=True, kw_only=True)
class EncodedArray:
    """An array as JSON values.

    Attributes:
        name: of the output.
        dtype: NumPy's name of the element type, little-endian.
        shape: [samples, ...].
        sha256: of the bytes in C order.
        data: these bytes, deflated, as base64.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str
    data: str


def encode(name: str, array: NDArray[Any]) -> EncodedArray:
    """Makes text of an array."""
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return EncodedArray(
        name=name,
        dtype=array.dtype.name,
        shape=tuple(array.shape),
        sha256=hashlib.sha256(content).hexdigest(),
        data=base64.b64encode(zlib.compress(content, _LEVEL)).decode(),
    )


def decode(encoded: EncodedArray) -> NDArray[Any]:
    """The array that :func:`encode` was given, bit for bit.

    Raises:
        ValueError: the text is damaged.
    """
    try:
        content = zlib.decompress(base64.b64decode(encoded.data, validate=True))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"output {encoded.name!r} is damaged: {error}") from error
    if hashlib.sha256(content).hexdigest() != encoded.sha256:
        raise ValueError(f"output {encoded.name!r} is damaged: its sha256 differs")
    return np.frombuffer(content, np.dtype(encoded.dtype).newbyteorder("<")).reshape(encoded.shape)


def hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """One sha256 over names, types, shapes and bytes of all arrays, in the order given; they are read row by row."""
    whole = hashlib.sha256()
    for name, array in arrays.items():
        digest = hashlib.sha256(f"{name} {array.dtype.name} {list(array.shape)}\n".encode())
        for row in array:
            digest.update(np.ascontiguousarray(row).tobytes())
        whole.update(digest.digest())
    return whole.hexdigest()


def read_inputs(folder: Path, spec: BundleSpec) -> dict[str, NDArray[np.float32]]:
    """The inputs as the model takes them: float32 [samples, ...] each."""
    return {entry.name: _read_input(folder, entry, spec.pixels) for entry in spec.inputs}


def read_reference(folder: Path, spec: BundleSpec) -> dict[str, NDArray[np.float32]]:
    """The float model's outputs, [samples, ...] each, mapped from the disk."""
    return {entry.name: np.load(folder / entry.file, mmap_mode="r") for entry in spec.reference}


def read_labels(folder: Path, spec: BundleSpec) -> NDArray[np.int64] | None:
    """The class of each sample, int64 [samples]; None without."""
    return np.asarray(np.load(folder / spec.labels), np.int64) if spec.labels else None


def normalise(pixels: NDArray[np.uint8], convention: Pixels) -> NDArray[np.float32]:
    """Pixels [samples, rows, columns, channels] to inputs [samples, channels, rows, columns]."""
    channels = pixels.shape[-1]
    mean, std = (
        np.broadcast_to(np.asarray(values, np.float32), (channels,)) for values in (convention.mean, convention.std)
    )
    planes = pixels[..., ::-1] if convention.reverse else pixels
    scaled = np.ascontiguousarray(planes.transpose(0, 3, 1, 2), dtype=np.float32)
    scaled /= np.float32(255)
    scaled -= mean[:, None, None]
    scaled /= std[:, None, None]
    return scaled


def to_pixels(values: NDArray[np.float32], convention: Pixels) -> NDArray[np.uint8] | None:
    """The pixels that :func:`normalise` makes exactly these inputs of; None if there are none."""
    if values.ndim != 4 or len(convention.mean) not in (1, values.shape[1]):
        return None
    mean, std = (np.asarray(given, np.float64).reshape(-1, 1, 1) for given in (convention.mean, convention.std))
    planes = np.rint((values * std + mean) * 255)
    if not np.isfinite(planes).all() or planes.min() < 0 or planes.max() > 255:
        return None
    pixels = planes.astype(np.uint8).transpose(0, 2, 3, 1)
    pixels = np.ascontiguousarray(pixels[..., ::-1] if convention.reverse else pixels)
    return pixels if normalise(pixels, convention).tobytes() == np.ascontiguousarray(values).tobytes() else None


def _read_input(folder: Path, entry: TensorFile, pixels: Pixels | None) -> NDArray[np.float32]:
    stored: NDArray[Any] = np.load(folder / entry.file, mmap_mode="r")
    if stored.dtype == np.uint8 and pixels is not None:
        return normalise(stored, pixels)
    return stored
