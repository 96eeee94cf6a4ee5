"""What the file itself says of its inputs and outputs, so that it can be used without anything beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.graph import Graph, Port

NAME = "zsq_export"


@dataclass(frozen=True, kw_only=True)
class PortInfo:
    """One input or output: its name, and the ONNX axis of each of its dimensions."""

    name: str
    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """Inputs and outputs of a file in its own order."""

    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]


def metadata_of(graph: Graph, preprocessing: str) -> tuple[tuple[str, bytes], ...]:
    """The metadata entry as (name, content).

    Args:
        graph: its ports are described.
        preprocessing: JSON of the input convention, "" where unknown.
    """
    content = {
        "inputs": [_port(port) for port in graph.inputs],
        "outputs": [_port(port) for port in graph.outputs],
        **({"preprocessing": json.loads(preprocessing)} if preprocessing else {}),
    }
    return ((NAME, json.dumps(content, sort_keys=True, separators=(",", ":")).encode()),)


def read_info(content: bytes) -> FileInfo | None:
    """What the file says; None where it was not made here."""
    model = schema.Model.GetRootAs(content)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == NAME.encode():
            raw = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
            return FileInfo(inputs=_ports(raw["inputs"]), outputs=_ports(raw["outputs"]))
    return None


def _port(port: Port) -> dict[str, object]:
    return {"name": port.name, "order": list(port.order)}


def _ports(raw: list[dict[str, object]]) -> tuple[PortInfo, ...]:
    return tuple(PortInfo(name=str(entry["name"]), order=tuple(entry["order"])) for entry in raw)  # type: ignore[arg-type]
