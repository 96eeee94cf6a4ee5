"""From a file on disk to a parsed protobuf, with an answer for every file that is no ONNX model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from zsq_export.errors import ModelError

_OTHER_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive: PyTorch checkpoint, TorchScript or Keras file?"),
    (0, b"\x89HDF", "an HDF5 file: Keras weights?"),
    (0, b"\x80\x02", "a Python pickle: PyTorch checkpoint?"),
    (0, b"\x80\x04", "a Python pickle: PyTorch checkpoint?"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "an ONNX Runtime .ort model"),
    (0, b"<?xml", "an XML file: OpenVINO IR?"),
    (0, b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` first"),
)
_EXPORT_HINT = "export the trained network to ONNX, e.g. with torch.onnx.export"


def read_proto(path: Path) -> onnx.ModelProto:
    """Parses the file; external data is left on disk.

    Raises:
        ModelError: missing, empty, truncated or not ONNX.
    """
    content = _read_bytes(path)
    _refuse_other_formats(path, content[:64])
    try:
        proto = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(
            f"{path} is not an ONNX file, or it is truncated", hint="copy or export it again and compare the sizes"
        ) from error
    _refuse_incomplete(path, proto)
    return proto


def graph_protos(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and, depth first, every graph inside its nodes' attributes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from graph_protos(inner)


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path} is a folder, not an ONNX file", hint="name the .onnx file inside it")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist", hint="check the path of the ONNX file") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if not content:
        raise ModelError(f"{path} is empty", hint="copy or export it again")
    return content


def _refuse_other_formats(path: Path, head: bytes) -> None:
    for offset, magic, what in _OTHER_FORMATS:
        if head[offset : offset + len(magic)] == magic:
            raise ModelError(f"{path} is not an ONNX file but {what}", hint=_EXPORT_HINT)


def _refuse_incomplete(path: Path, proto: onnx.ModelProto) -> None:
    if not proto.HasField("graph") or not proto.graph.output:
        raise ModelError(f"{path} holds no ONNX graph, or it is truncated", hint="copy or export it again")
    if not proto.opset_import:
        raise ModelError(f"{path} names no operator set, so it is truncated", hint="copy or export it again")
