"""What the file itself says of its inputs and outputs, so that it can be used without anything beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.graph import Port
from zsq_export.backends.tflite_edge.lower import Lowered

NAME = "zsq_export"


@dataclass(frozen=True, kw_only=True)
class PortInfo:
    """One input or output: its name, and the ONNX axis of each of its dimensions."""

    name: str
    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """What a file says of itself.

    Attributes:
        inputs, outputs: in the file's order.
        transposes: TRANSPOSE ops left in it.
        islands: (node, op type, reason) of what was planned in integers and runs in float.
    """

    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]
    transposes: int = 0
    islands: tuple[tuple[str, str, str], ...] = ()


def metadata_of(lowered: Lowered, preprocessing: str) -> tuple[tuple[str, bytes], ...]:
    """The metadata entry as (name, content).

    Args:
        lowered: its inputs and outputs are described, and what is left in it of transposes and float islands.
        preprocessing: JSON of the input convention, "" where unknown.
    """
    content = {
        "inputs": [_port(port) for port in lowered.graph.inputs],
        "outputs": [_port(port) for port in lowered.graph.outputs],
        "transposes": lowered.transposes,
        "islands": [list(island) for island in lowered.islands],
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
            islands = tuple((str(node), str(kind), str(reason)) for node, kind, reason in raw["islands"])
            return FileInfo(
                inputs=_ports(raw["inputs"]),
                outputs=_ports(raw["outputs"]),
                transposes=int(raw["transposes"]),
                islands=islands,
            )
    return None


def _port(port: Port) -> dict[str, object]:
    return {"name": port.name, "order": list(port.order)}


def _ports(raw: list[dict[str, object]]) -> tuple[PortInfo, ...]:
    return tuple(PortInfo(name=str(entry["name"]), order=tuple(entry["order"])) for entry in raw)  # type: ignore[arg-type]
