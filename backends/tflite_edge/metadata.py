"""What the file itself says of its inputs and outputs, so that it can be used without anything beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from zsq_export.backends.tflite_edge import graph
from zsq_export.backends.tflite_edge.lower import Lowered
from zsq_export.device.litert_ports import METADATA_NAME, Ports, read_metadata, read_ports


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """What a file says of itself.

    Attributes:
        ports: its inputs and outputs.
        transposes: TRANSPOSE ops left in it.
        islands: (node, op type, reason) of what was planned in integers and runs in float.
    """

    ports: Ports
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
    return ((METADATA_NAME, json.dumps(content, sort_keys=True, separators=(",", ":")).encode()),)


def read_info(content: bytes) -> FileInfo | None:
    """What the file says; None where it was not made here."""
    raw, ports = read_metadata(content), read_ports(content)
    if raw is None or ports is None:
        return None
    islands = tuple((str(node), str(kind), str(reason)) for node, kind, reason in raw["islands"])
    return FileInfo(ports=ports, transposes=int(raw["transposes"]), islands=islands)


def _port(port: graph.Port) -> dict[str, object]:
    return {"name": port.name, "order": list(port.order)}
