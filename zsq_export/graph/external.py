"""Weights that lie in files beside the model: where they are, and that they are really there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from zsq_export.errors import ModelError
from zsq_export.graph.reading import graph_protos

IN_MEMORY_LIMIT = 1 << 30
"""External weights up to this many bytes are copied into memory, larger ones stay memory-mapped."""


@dataclass(frozen=True, kw_only=True)
class ExternalRange:
    """The bytes of one tensor in a file beside the model."""

    tensor: str
    location: str
    offset: int
    length: int


def external_ranges(proto: onnx.ModelProto) -> tuple[ExternalRange, ...]:
    """Every tensor of the model, its subgraphs and functions that is stored outside, in file order.

    Raises:
        ModelError: a tensor that claims to be external names no file or no valid numbers.
    """
    return tuple(_range(tensor) for tensor in _tensors(proto) if onnx.external_data_helper.uses_external_data(tensor))


def check_external_data(proto: onnx.ModelProto, folder: Path) -> tuple[ExternalRange, ...]:
    """Checks that every external file lies inside ``folder`` and is long enough.

    Returns:
        The checked ranges.

    Raises:
        ModelError: a path is absolute or leaves the folder (also through a link), a file is missing or too short.
    """
    ranges = external_ranges(proto)
    for item in ranges:
        file = _resolve_inside(folder, item)
        if not file.is_file():
            raise ModelError(
                f"tensor {item.tensor!r}: its external data file {item.location!r} is missing",
                hint=f"put it into {folder}, beside the model",
            )
        if file.stat().st_size < item.offset + item.length:
            raise ModelError(
                f"tensor {item.tensor!r}: external data file {item.location!r} is truncated, "
                f"{item.offset + item.length} bytes expected, {file.stat().st_size} found",
                hint="copy it again",
            )
    return ranges


def bring_into_memory(model: ir.Model, limit: int = IN_MEMORY_LIMIT) -> None:
    """Copies external weights into memory unless they are larger than ``limit`` bytes together."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    external = sum(tensor.nbytes for tensor in tensors if isinstance(tensor, ir.ExternalTensor))
    if external <= limit:
        ir.external_data.load_to_model(model)


def _resolve_inside(folder: Path, item: ExternalRange) -> Path:
    base, relative = folder.resolve(), Path(item.location)
    target = (base / relative).resolve()
    if relative.is_absolute() or ".." in relative.parts or not target.is_relative_to(base):
        raise ModelError(
            f"tensor {item.tensor!r}: external data path {item.location!r} leaves the model's folder",
            hint="save the model again with its weights beside it; a foreign path is never opened",
        )
    return target


def _range(tensor: onnx.TensorProto) -> ExternalRange:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or _byte_size(tensor))
    except ValueError as error:
        raise ModelError(
            f"tensor {tensor.name!r}: external data offset or length is no number", hint="export the model again"
        ) from error
    location = entries.get("location", "")
    if not location or offset < 0 or length != _byte_size(tensor):
        raise ModelError(
            f"tensor {tensor.name!r}: external data must name a file and {_byte_size(tensor)} bytes of it, "
            f"not {length} bytes at {offset} in {location!r}",
            hint="the file is corrupt: export the model again",
        )
    return ExternalRange(tensor=tensor.name, location=location, offset=offset, length=length)


def _byte_size(tensor: onnx.TensorProto) -> int:
    bits = ir.DataType(tensor.data_type).bitwidth
    elements = 1
    for side in tensor.dims:
        elements *= side
    return (elements * bits + 7) // 8


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in graph_protos(proto.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
        yield from _attribute_tensors(graph.node)
    for function in proto.functions:
        yield from _attribute_tensors(function.node)


def _attribute_tensors(nodes: object) -> Iterator[onnx.TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
