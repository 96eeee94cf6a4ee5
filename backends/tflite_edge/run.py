"""Inference with LiteRT on the CPU, XNNPACK behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.base import Arrays, ExecutedOp
from zsq_export.backends.tflite_edge.metadata import PortInfo, read_info
from zsq_export.backends.tflite_edge.precisions import executed_ops
from zsq_export.backends.tflite_edge.runtime import import_interpreter
from zsq_export.device.litert_cpu import dequantized, quantized
from zsq_export.device.runtimes import core_count
from zsq_export.errors import ArtifactError, DataError, TargetUnavailableError

_IDENTIFIER = slice(4, 8)


class LiteRtRunner:
    """A .tflite file. Feeds and results are called and laid out as in the ONNX model, whatever the file has."""

    def __init__(self, content: bytes, *, threads: int | None, name: str = "the model") -> None:
        """Loads the bytes of a file.

        Raises:
            ArtifactError: they are no TFLite model.
            TargetUnavailableError: no runtime, or it refuses the model.
        """
        if content[_IDENTIFIER] != b"TFL3":
            raise ArtifactError(f"{name} is no TFLite model", hint="convert the model again")
        self._content = content
        self._threads = threads or core_count()
        self._name = name
        self._info = read_info(content)
        self._interpreter = self._load()
        self._shapes: tuple[tuple[int, ...], ...] = ()

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch; one sample after the other where the file takes only one.

        Raises:
            DataError: an input is missing or has a shape the model does not take.
        """
        count = min((len(array) for array in inputs.values() if np.ndim(array)), default=1)
        if count > 1 and self._takes_one_sample():
            single = [
                self.run({name: array[index : index + 1] for name, array in inputs.items()}) for index in range(count)
            ]
            return {name: np.concatenate([outputs[name] for outputs in single]) for name in single[0]}
        self._shapes = self._set(self._interpreter, inputs, self._shapes)
        self._interpreter.invoke()
        return {
            self._port(detail, outputs=True).name: self._result(detail)
            for detail in self._interpreter.get_output_details()
        }

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, in an interpreter of its own."""
        interpreter = self._load()
        self._set(interpreter, inputs, ())

        def infer() -> None:
            interpreter.invoke()

        return infer

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every op of the file with the type it computes in; the runtime tells which ones XNNPACK took."""
        return executed_ops(self._load(), self._content)

    def _takes_one_sample(self) -> bool:
        signatures = [detail["shape_signature"] for detail in self._interpreter.get_input_details()]
        return all(len(signature) and signature[0] == 1 for signature in signatures)

    def _load(self) -> Any:
        module = import_interpreter()
        try:
            with without_chatter():
                interpreter = module.Interpreter(model_content=self._content, num_threads=self._threads)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise TargetUnavailableError(f"LiteRT cannot load {self._name}: {reason}") from error
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
                raise DataError(f"{self._name} does not take inputs of shape {shapes}: {error}") from error
        for detail, array in zip(details, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        return shapes

    def _feed(self, detail: Mapping[str, Any], inputs: Arrays) -> NDArray[Any]:
        port = self._port(detail, outputs=False)
        if port.name not in inputs:
            raise DataError(f"no data for input {port.name!r}", hint=f"given: {', '.join(inputs)}")
        array = np.asarray(inputs[port.name], dtype=np.float32)
        if port.order:
            if array.ndim != len(port.order):
                raise DataError(f"input {port.name!r} has {array.ndim} axes, expected {len(port.order)}")
            array = array.transpose(port.order)
        return np.ascontiguousarray(quantized(array, detail))

    def _result(self, detail: Mapping[str, Any]) -> NDArray[Any]:
        array = dequantized(self._interpreter.get_tensor(detail["index"]), detail)
        order = self._port(detail, outputs=True).order
        return np.ascontiguousarray(array.transpose(np.argsort(order))) if order else array

    def _port(self, detail: Mapping[str, Any], *, outputs: bool) -> PortInfo:
        ports = () if self._info is None else (self._info.outputs if outputs else self._info.inputs)
        return next((port for port in ports if port.name == detail["name"]), PortInfo(name=detail["name"], order=()))


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drops the line by which the runtime tells the standard error that it made a delegate; other lines stay."""
    sys.stderr.flush()
    kept = os.dup(2)
    with TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            for line in log.read().splitlines(keepends=True):
                if not line.startswith(b"INFO: "):
                    os.write(2, line)


def read_file(file: Path) -> bytes:
    """The content of a .tflite file.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {file}: {error.strerror}", hint="convert the model again") from error
