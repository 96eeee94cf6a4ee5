"""Which file a model came from, so that a plan or a calibration can be tied to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from zsq_export.graph.external import check_external_data
from zsq_export.graph.prepared import SourceFile
from zsq_export.graph.reading import read_proto

_BLOCK = 1 << 20


def source_file(path: Path) -> SourceFile:
    """Hashes the model file, followed by its external data files (name and content, sorted by name).

    For a file without external data this is the plain SHA-256 of the file.

    Raises:
        ModelError: the file is no ONNX model, or its external data is missing or lies outside its folder.
    """
    locations = sorted({item.location for item in check_external_data(read_proto(path), path.parent)})
    digest = hashlib.sha256()
    _add_file(digest, path)
    for location in locations:
        digest.update(location.encode())
        _add_file(digest, path.parent / location)
    return SourceFile(path=path, sha256=digest.hexdigest())


def source_size(path: Path) -> int:
    """Bytes of the model file and its external data files.

    Raises:
        ModelError: the file is no ONNX model, or its external data is missing or lies outside its folder.
    """
    locations = {item.location for item in check_external_data(read_proto(path), path.parent)}
    return sum(file.stat().st_size for file in (path, *(path.parent / location for location in locations)))


def _add_file(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
