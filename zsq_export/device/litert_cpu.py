"""LiteRT's interpreter on the CPU, XNNPACK behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays
from .runtimes import RanOp, core_count

METADATA_NAME = "zsq_export"
_PACKAGE = "ai-edge-litert"
_DELEGATE = "DELEGATE"
_PRECISIONS = {
    "float32": "f32", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
Node = Mapping[str, Any]


def version() -> str:
    """Name and version."""
    from ai_edge_litert import interpreter  # noqa: F401

    return f"{_PACKAGE} {metadata.version(_PACKAGE)}"


def float_precisions() -> tuple[str, ...]:
    """f32 only."""
    return ("f32",)


def open_model(file: Path, *, precision: str, threads: int | None) -> LiteRtModel:
    """Loads a .tflite file."""
    return LiteRtModel(file.read_bytes(), threads or core_count())


def delegated(own: Sequence[Node], delegates: Sequence[Node]) -> set[int]:
    """Indices of the ops between what a delegate's kernel reads and what it writes."""
    producer = {int(tensor): node for node in own for tensor in node["outputs"]}
    found: set[int] = set()
    for delegate in delegates:
        given = {int(tensor) for tensor in delegate["inputs"]}
        pending = [int(tensor) for tensor in delegate["outputs"]]
        while pending:
            node = producer.get(pending.pop())
            if node is None or node["index"] in found:
                continue
            found.add(node["index"])
            pending += [int(tensor) for tensor in node["inputs"] if int(tensor) not in given]
    return found


class LiteRtModel:
    """A .tflite file. Feeds and results are laid out as in the ONNX model, whatever the file has."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._content = content
        self._threads = threads
        self._orders = _read_orders(content)
        self._interpreter = self._load()
        self._shapes: tuple[tuple[int, ...], ...] = ()

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch; one sample after the other where the file takes only one."""
        count = min(len(array) for array in inputs.values())
        if count > 1 and self._takes_one_sample():
            single = [self.run({name: array[row : row + 1] for name, array in inputs.items()}) for row in range(count)]
            return {name: np.concatenate([outputs[name] for outputs in single]) for name in single[0]}
        self._shapes = self._set(self._interpreter, inputs, self._shapes)
        self._interpreter.invoke()
        return {detail["name"]: self._result(detail) for detail in self._interpreter.get_output_details()}

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, in an interpreter of its own."""
        interpreter = self._load()
        self._set(interpreter, inputs, ())

        def infer() -> None:
            interpreter.invoke()

        return infer

    def ran(self) -> tuple[RanOp, ...]:
        """Every op of the file with the type of its first operand, and whether XNNPACK took it."""
        from ai_edge_litert import schema_py_generated as schema

        interpreter = self._load()
        nodes = interpreter._get_ops_details()
        count = schema.Model.GetRootAs(self._content).Subgraphs(0).OperatorsLength()
        own, delegates = nodes[:count], [node for node in nodes[count:] if node["op_name"] == _DELEGATE]
        tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        taken = delegated(own, delegates)
        return tuple(_ran(node, tensors, node["index"] in taken) for node in own)

    def _takes_one_sample(self) -> bool:
        signatures = [detail["shape_signature"] for detail in self._interpreter.get_input_details()]
        return all(len(signature) and signature[0] == 1 for signature in signatures)

    def _load(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
        interpreter.allocate_tensors()
        return interpreter

    def _set(self, interpreter: Any, inputs: Arrays, known: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        """Resizes where the shapes are others than before, and fills the inputs."""
        details = interpreter.get_input_details()
        arrays = [self._feed(detail, inputs[detail["name"]]) for detail in details]
        shapes = tuple(array.shape for array in arrays)
        if shapes != known:
            for detail, shape in zip(details, shapes, strict=True):
                interpreter.resize_tensor_input(detail["index"], shape, strict=True)
            interpreter.allocate_tensors()
        for detail, array in zip(details, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        return shapes

    def _feed(self, detail: Node, given: NDArray[np.float32]) -> NDArray[Any]:
        array = np.asarray(given, np.float32)
        order = self._orders.get(detail["name"])
        return np.ascontiguousarray(quantized(array.transpose(order) if order else array, detail))

    def _result(self, detail: Node) -> NDArray[np.float32]:
        array = dequantized(self._interpreter.get_tensor(detail["index"]), detail)
        order = self._orders.get(detail["name"])
        return np.ascontiguousarray(array.transpose(np.argsort(order))) if order else array


def _read_orders(content: bytes) -> dict[str, tuple[int, ...]]:
    """Input or output -> the ONNX axis of each of its dimensions, as the file's own metadata tells."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == METADATA_NAME.encode():
            raw = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
            return {port["name"]: tuple(port["order"]) for port in (*raw["inputs"], *raw["outputs"])}
    return {}


def quantized(array: NDArray[np.float32], detail: Node) -> NDArray[Any]:
    """Floats as the input that an interpreter describes takes them."""
    dtype: np.dtype[Any] = np.dtype(detail["dtype"])
    if dtype == np.float32:
        return array
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    integers: NDArray[Any] = np.clip(np.rint(array / np.float32(scale)) + zero_point, limits.min, limits.max)
    return integers.astype(dtype)


def dequantized(array: NDArray[Any], detail: Node) -> NDArray[Any]:
    """What the output that an interpreter describes gives, as floats."""
    scale, zero_point = detail["quantization"]
    if array.dtype == np.float32 or not scale:
        return array
    return np.asarray((array.astype(np.float32) - np.float32(zero_point)) * np.float32(scale), dtype=np.float32)


def _ran(node: Node, tensors: Mapping[int, Any], taken: bool) -> RanOp:
    dtype = np.dtype(tensors[int(node["inputs"][0])]["dtype"]).name if len(node["inputs"]) else ""
    return RanOp(
        name=str(tensors[int(node["outputs"][0])]["name"]),
        op_type=f"{node['op_name']}@{'xnnpack' if taken else 'builtin'}",
        precision=_PRECISIONS.get(dtype, dtype),
    )
