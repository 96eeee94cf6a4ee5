"""Inference with LiteRT on the CPU, XNNPACK behind it."""

from __future__ import annotations

from pathlib import Path

from zsq_export.backends.base import ExecutedOp
from zsq_export.backends.device_runner import DeviceRunner
from zsq_export.backends.tflite_edge.precisions import executed_ops
from zsq_export.backends.tflite_edge.runtime import import_interpreter
from zsq_export.device.litert_cpu import LiteRtModel, is_tflite
from zsq_export.errors import ArtifactError


class LiteRtRunner(DeviceRunner[LiteRtModel]):
    """A .tflite file. Feeds and results are called and laid out as in the ONNX model, whatever the file has."""

    def __init__(self, content: bytes, *, threads: int | None, name: str = "the model") -> None:
        """Loads the bytes of a file.

        Raises:
            ArtifactError: they are no TFLite model.
            TargetUnavailableError: no runtime, or it refuses the model.
        """
        if not is_tflite(content):
            raise ArtifactError(f"{name} is no TFLite model", hint="convert the model again")
        import_interpreter()
        super().__init__(lambda: LiteRtModel(content, threads=threads, name=name))

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every op of the file with the type it computes in; the runtime tells which ones XNNPACK took."""
        return executed_ops(self.model.file_ops())


def read_file(file: Path) -> bytes:
    """The content of a .tflite file.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {file}: {error.strerror}", hint="convert the model again") from error
