"""Inference with ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from zsq_export.backends.base import Arrays, ExecutedOp
from zsq_export.backends.onnxruntime_cpu.precisions import executed_ops
from zsq_export.device.onnxruntime_cpu import PROVIDERS, bound_call, session_options
from zsq_export.errors import ArtifactError, DataError, TargetUnavailableError
from zsq_export.graph.saving import save_model


class OrtRunner:
    """A model in one ONNX Runtime session, all optimizations on."""

    def __init__(self, file: Path, *, threads: int | None) -> None:
        """Loads the file.

        Raises:
            ArtifactError: it is missing or no ONNX model.
            TargetUnavailableError: ONNX Runtime refuses the model.
        """
        self._file = file
        self._folder: TemporaryDirectory[str] | None = None
        self._session = _session(file, session_options(threads))
        self._inputs = [port.name for port in self._session.get_inputs()]
        self._outputs = [port.name for port in self._session.get_outputs()]

    @classmethod
    def from_model(cls, model: ir.Model, *, threads: int | None) -> OrtRunner:
        """Loads a model that has no file; its own temporary one lives as long as the runner."""
        folder = TemporaryDirectory()
        path = Path(folder.name) / "model.onnx"
        save_model(model, path)
        runner = cls(path, threads=threads)
        runner._folder = folder
        return runner

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch.

        Raises:
            DataError: an input is missing or has a shape the model does not take.
        """
        feeds = self._feeds(inputs)
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise DataError(f"ONNX Runtime cannot run these inputs: {error}") from error
        return dict(zip(self._outputs, results, strict=True))

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, buffers bound beforehand."""
        return bound_call(self._session, self._feeds(inputs), self._outputs)

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every kernel of one inference, from ONNX Runtime's own profile."""
        return executed_ops(self._file, session_options(1), PROVIDERS)

    def _feeds(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        missing = [name for name in self._inputs if name not in inputs]
        if missing:
            raise DataError(f"no data for input {missing[0]!r}", hint=f"inputs are {', '.join(self._inputs)}")
        return {name: np.ascontiguousarray(inputs[name], dtype=np.float32) for name in self._inputs}


def _session(file: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    if not file.is_file():
        raise ArtifactError(f"{file} does not exist", hint="convert the model again")
    try:
        return ort.InferenceSession(str(file), options, providers=PROVIDERS)
    except Exception as error:
        raise TargetUnavailableError(f"ONNX Runtime cannot load {file.name}: {error}") from error
