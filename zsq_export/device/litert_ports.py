"""Inputs and outputs of a .tflite file: how the ONNX model lays them out, and their integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DeviceError

METADATA_NAME = "zsq_export"
Detail = Mapping[str, Any]
"""What an interpreter says of an input or output."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output.

    Attributes:
        name: as in the ONNX model.
        order: the ONNX axis of each of its dimensions; empty: the same.
    """

    name: str
    order: tuple[int, ...]

    def laid_out(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """An array of the ONNX model as the file has it.

        Raises:
            DeviceError: it has another number of axes.
        """
        if not self.order:
            return np.ascontiguousarray(array)
        if array.ndim != len(self.order):
            raise DeviceError(f"input {self.name!r} has {array.ndim} axes, expected {len(self.order)}")
        return np.ascontiguousarray(array.transpose(self.order))

    def restored(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of the file as the ONNX model has it."""
        return np.ascontiguousarray(array.transpose(np.argsort(self.order))) if self.order else array


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What a file says of its inputs and outputs, in its order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def input(self, name: str) -> Port:
        """The input of this name; one that the file says nothing of is laid out as it is."""
        return _find(self.inputs, name)

    def output(self, name: str) -> Port:
        """The output of this name, likewise."""
        return _find(self.outputs, name)


def read_metadata(content: bytes) -> dict[str, Any] | None:
    """What a .tflite file that was made here says of itself; None where it was made elsewhere."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == METADATA_NAME.encode():
            found: dict[str, Any] = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
            return found
    return None


def read_ports(content: bytes) -> Ports | None:
    """The inputs and outputs of a .tflite file, as far as it tells."""
    raw = read_metadata(content)
    return None if raw is None else Ports(inputs=_ports(raw["inputs"]), outputs=_ports(raw["outputs"]))


def quantized(array: NDArray[np.float32], detail: Detail) -> NDArray[Any]:
    """Floats as the input that an interpreter describes takes them."""
    dtype: np.dtype[Any] = np.dtype(detail["dtype"])
    if dtype == np.float32:
        return array
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    integers: NDArray[Any] = np.clip(np.rint(array / np.float32(scale)) + zero_point, limits.min, limits.max)
    return integers.astype(dtype)


def dequantized(array: NDArray[Any], detail: Detail) -> NDArray[Any]:
    """What the output that an interpreter describes gives, as floats."""
    scale, zero_point = detail["quantization"]
    if array.dtype == np.float32 or not scale:
        return array
    return np.asarray((array.astype(np.float32) - np.float32(zero_point)) * np.float32(scale), dtype=np.float32)


def _find(ports: tuple[Port, ...], name: str) -> Port:
    return next((port for port in ports if port.name == name), Port(name=name, order=()))


def _ports(raw: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(name=str(entry["name"]), order=tuple(entry["order"])) for entry in raw)
