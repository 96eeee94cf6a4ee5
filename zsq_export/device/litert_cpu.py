"""LiteRT's interpreter on the CPU, XNNPACK behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays
from .errors import UNAVAILABLE, DeviceError, one_line
from .litert_ports import Ports, dequantized, quantized, read_ports
from .runtimes import RanOp, core_count
from .stderr import without_chatter

PACKAGE = "ai-edge-litert"
_DELEGATE = "DELEGATE"
_PRECISIONS = {
    "float32": "f32", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "bool": "bool",
}  # fmt: skip
_IDENTIFIER = slice(4, 8)
"""Of a flatbuffer; TFLite's is TFL3."""
Node = Mapping[str, Any]


def version() -> str:
    """Name and version."""
    from ai_edge_litert import interpreter  # noqa: F401

    return f"{PACKAGE} {metadata.version(PACKAGE)}"


def float_precisions() -> tuple[str, ...]:
    """f32 only."""
    return ("f32",)


def open_model(file: Path, *, precision: str, threads: int | None) -> LiteRtModel:
    """Loads a .tflite file.

    Raises:
        DeviceError: it is none, or LiteRT refuses it.
    """
    return LiteRtModel(file.read_bytes(), threads=threads, name=file.name)


def is_tflite(content: bytes) -> bool:
    """Whether these are the bytes of a .tflite file."""
    return content[_IDENTIFIER] == b"TFL3"


@dataclass(frozen=True, kw_only=True)
class FileOps:
    """The ops of a file as the interpreter lists them.

    Attributes:
        nodes: in the file's order.
        tensors: index -> what the interpreter says of the tensor.
        ran: of each node; its type ends in "@xnnpack" where the delegate took it, in "@builtin" where it did not. The
            precision is that of the first operand, which is what its kernel computes with.
    """

    nodes: Sequence[Node]
    tensors: Mapping[int, Node]
    ran: tuple[RanOp, ...]


class LiteRtModel:
    """A .tflite file. Feeds and results are called and laid out as in the ONNX model, whatever the file has.

    Args:
        content: of the file.
        threads: None: as many as this process may use cores.
        name: for messages.
    """

    def __init__(self, content: bytes, *, threads: int | None, name: str) -> None:
        if not is_tflite(content):
            raise DeviceError(f"{name} is no TFLite model")
        self._content = content
        self._threads = threads or core_count()
        self._name = name
        self._ports = read_ports(content) or Ports(inputs=(), outputs=())
        self._interpreter = self._load()
        self._shapes: tuple[tuple[int, ...], ...] = ()

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch; one sample after the other where the file takes only one.

        Raises:
            DeviceError: an input is missing or has a shape that the model does not take.
        """
        count = min((len(array) for array in inputs.values() if np.ndim(array)), default=1)
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
        return self.file_ops().ran

    def file_ops(self) -> FileOps:
        """Every op of the file."""
        from ai_edge_litert import schema_py_generated as schema

        interpreter = self._load()
        nodes = interpreter._get_ops_details()
        count = schema.Model.GetRootAs(self._content).Subgraphs(0).OperatorsLength()
        own, delegates = nodes[:count], [node for node in nodes[count:] if node["op_name"] == _DELEGATE]
        tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        taken = _delegated(own, delegates)
        return FileOps(
            nodes=own, tensors=tensors, ran=tuple(_ran(node, tensors, node["index"] in taken) for node in own)
        )

    def _takes_one_sample(self) -> bool:
        signatures = [detail["shape_signature"] for detail in self._interpreter.get_input_details()]
        return all(len(signature) and signature[0] == 1 for signature in signatures)

    def _load(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with without_chatter():
                interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise DeviceError(f"LiteRT cannot load {self._name}: {one_line(error)}", exit_code=UNAVAILABLE) from error
        return interpreter

    def _set(self, interpreter: Any, inputs: Arrays, known: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        """Resizes where the shapes are others than before, and fills the inputs."""
        details = interpreter.get_input_details()
        arrays = [self._feed(detail, inputs) for detail in details]
        shapes = tuple(array.shape for array in arrays)
        if shapes != known:
            try:
                for detail, shape in zip(details, shapes, strict=True):
                    interpreter.resize_tensor_input(detail["index"], shape, strict=True)
                interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise DeviceError(f"{self._name} does not take inputs of shape {shapes}: {one_line(error)}") from error
        for detail, array in zip(details, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        return shapes

    def _feed(self, detail: Node, inputs: Arrays) -> NDArray[Any]:
        port = self._ports.input(detail["name"])
        if port.name not in inputs:
            raise DeviceError(f"no data for input {port.name!r}, given: {', '.join(inputs)}")
        return quantized(port.laid_out(np.asarray(inputs[port.name], np.float32)), detail)

    def _result(self, detail: Node) -> NDArray[np.float32]:
        array = dequantized(self._interpreter.get_tensor(detail["index"]), detail)
        return self._ports.output(detail["name"]).restored(array)


def _delegated(own: Sequence[Node], delegates: Sequence[Node]) -> set[int]:
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


def _ran(node: Node, tensors: Mapping[int, Node], taken: bool) -> RanOp:
    dtype = np.dtype(tensors[int(node["inputs"][0])]["dtype"]).name if len(node["inputs"]) else ""
    return RanOp(
        name=str(tensors[int(node["outputs"][0])]["name"]),
        op_type=f"{node['op_name']}@{'xnnpack' if taken else 'builtin'}",
        precision=_PRECISIONS.get(dtype, dtype),
    )
