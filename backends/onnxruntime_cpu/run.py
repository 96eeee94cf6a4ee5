"""Inference with ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir

from zsq_export.backends.base import ExecutedOp
from zsq_export.backends.device_runner import DeviceRunner
from zsq_export.backends.onnxruntime_cpu.precisions import executed_ops
from zsq_export.device.onnxruntime_cpu import OrtModel
from zsq_export.errors import ArtifactError
from zsq_export.graph.saving import save_model


class OrtRunner(DeviceRunner[OrtModel]):
    """A model in one ONNX Runtime session, all optimizations on."""

    def __init__(self, file: Path, *, threads: int | None) -> None:
        """Loads the file.

        Raises:
            ArtifactError: it is missing.
            TargetUnavailableError: ONNX Runtime refuses it.
        """
        if not file.is_file():
            raise ArtifactError(f"{file} does not exist", hint="convert the model again")
        super().__init__(lambda: OrtModel(file, threads=threads))
        self._folder: TemporaryDirectory[str] | None = None

    @classmethod
    def from_model(cls, model: ir.Model, *, threads: int | None) -> OrtRunner:
        """Loads a model that has no file; its own temporary one lives as long as the runner."""
        folder = TemporaryDirectory()
        path = Path(folder.name) / "model.onnx"
        save_model(model, path)
        runner = cls(path, threads=threads)
        runner._folder = folder
        return runner

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every kernel of one inference, from ONNX Runtime's own profile."""
        return executed_ops(self.model)
