"""What an engine is made of: its layers, the types that they compute in, and the ONNX nodes in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

_MARK = "Layers:"
_NAME = re.compile(r"^Name: (\S+), LayerType: (\w+),")
_TYPES = re.compile(r"Datatype: (\w+)")
_NODES = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_PRECISIONS = {
    "float": "f32", "fp32": "f32", "half": "f16", "fp16": "f16", "bfloat16": "bf16", "bf16": "bf16", "int8": "i8",
    "fp8": "f8", "int4": "i4", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
"""TensorRT's names of types, in small letters, and ours. Its logs and its inspector spell them differently."""
NARROW = frozenset({"i4", "i8", "f8"})
_BY_WIDTH = ("i4", "i8", "f8", "f16", "bf16", "f32")


@dataclass(frozen=True, kw_only=True)
class BuiltLayer:
    """One layer of an engine.

    Attributes:
        name: TensorRT's.
        kind: TensorRT's ("correlation" is a convolution, "kgen" a generated kernel, ...).
        inputs, outputs: types of its tensors and constants ("i8", "f16", ...).
        nodes: ONNX nodes that are computed in it, at least in part.
        macs: multiply-accumulates of one sample; 0 for layers that multiply no weights.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]
    macs: int = 0

    @property
    def precision(self) -> str:
        """Narrowest type that it reads (its weights count); that of its result if it reads nothing."""
        types = self.inputs or self.outputs
        return min((name for name in types if name in _BY_WIDTH), key=_BY_WIDTH.index, default=next(iter(types), ""))


def layers_from_log(texts: Sequence[str]) -> tuple[BuiltLayer, ...]:
    """Layers from the builder's detailed messages: all there is on a machine that cannot load the engine."""
    text = next((text for text in reversed(texts) if text.startswith(_MARK)), "")
    return tuple(layer for layer in map(_from_line, text.splitlines()) if layer is not None)


def layers_from_inspector(text: str) -> tuple[BuiltLayer, ...]:
    """Layers from the JSON that an engine inspector gives for a whole engine."""
    raw = json.loads(text)
    return tuple(_from_json(layer) for layer in raw.get("Layers", ()) if isinstance(layer, dict))


def computing(layers: Sequence[BuiltLayer], node: str) -> BuiltLayer | None:
    """The layer that computes a node's products; other layers hold its casts, its bias, its activation function."""
    found = [layer for layer in layers if node in layer.nodes]
    return next((layer for layer in found if _multiplies(layer)), found[0] if found else None)


def with_macs(layers: Sequence[BuiltLayer], macs: Mapping[str, int]) -> tuple[BuiltLayer, ...]:
    """The layers with the arithmetic of the nodes that they compute."""
    sums: dict[str, int] = {}
    for node, count in macs.items():
        layer = computing(layers, node)
        if layer is not None:
            sums[layer.name] = sums.get(layer.name, 0) + count
    return tuple(replace(layer, macs=sums.get(layer.name, 0)) for layer in layers)


def layers_to_json(layers: Sequence[BuiltLayer]) -> str:
    """One layer per line."""
    lines = [json.dumps(asdict(layer) | {"precision": layer.precision}, ensure_ascii=False) for layer in layers]
    return '{"layers": [\n' + ",\n".join(lines) + "\n]}\n"


def layers_from_json(text: str) -> tuple[BuiltLayer, ...]:
    """Reads what :func:`layers_to_json` wrote."""
    return tuple(
        BuiltLayer(
            name=raw["name"],
            kind=raw["kind"],
            inputs=tuple(raw["inputs"]),
            outputs=tuple(raw["outputs"]),
            nodes=tuple(raw["nodes"]),
            macs=raw["macs"],
        )
        for raw in json.loads(text)["layers"]
    )


_PRODUCTS = ("correlation", "conv", "gemm", "fc", "runtime_fusion", "matrix")
"""Parts of the kinds of layers that multiply weights ("deconv" is one); a "kgen" may do so, too, for small ones."""


def _multiplies(layer: BuiltLayer) -> bool:
    return any(word in layer.kind.lower() for word in _PRODUCTS)


def _from_line(line: str) -> BuiltLayer | None:
    match = _NAME.match(line)
    if match is None:
        return None
    read, _, written = line.partition(", Outputs: ")
    return BuiltLayer(
        name=match[1],
        kind=match[2],
        inputs=tuple(map(_precision, _TYPES.findall(read))),
        outputs=tuple(map(_precision, _TYPES.findall(written))),
        nodes=tuple(dict.fromkeys(_NODES.findall(line))),
    )


def _from_json(raw: Mapping[str, Any]) -> BuiltLayer:
    read = [*raw.get("Inputs", ()), *raw.get("Constants", ()), *raw.get("Weights", ())]
    return BuiltLayer(
        name=str(raw.get("Name", "")),
        kind=str(raw.get("LayerType", "")),
        inputs=tuple(map(_format, read)),
        outputs=tuple(map(_format, raw.get("Outputs", ()))),
        nodes=tuple(dict.fromkeys(_NODES.findall(str(raw.get("Metadata", ""))))),
    )


def _format(tensor: Mapping[str, Any] | Any) -> str:
    """Type of one tensor of the inspector: "Datatype", or within "Format/Datatype" ("Int8 NC/32HW32 format")."""
    if not isinstance(tensor, Mapping):
        return ""
    text = str(tensor.get("Datatype") or tensor.get("Format/Datatype") or "")
    words = (_precision(word) for word in re.split(r"\W+", text))
    return next((word for word in words if word in _PRECISIONS.values()), _precision(text))


def _precision(text: str) -> str:
    return _PRECISIONS.get(text.lower(), text.lower())
