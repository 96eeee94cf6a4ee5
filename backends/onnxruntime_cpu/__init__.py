"""ONNX Runtime on a CPU: the QDQ model itself, in the form that its optimizer turns into integer kernels."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.base import Probe, Runner
from zsq_export.backends.int8_only import Int8Only
from zsq_export.backends.options import FloatPrecision
from zsq_export.errors import UsageError
from zsq_export.planning.plan import Plan
from zsq_export.planning.table import PlacementTable

MODEL_NAME = "model.onnx"


class OnnxRuntimeCpu(Int8Only):
    """The backend; see :class:`zsq_export.backends.base.Backend` for the contract."""

    name = "onnxruntime"
    summary = "QDQ ONNX for ONNX Runtime's CPU provider"
    extra = ""

    def placement(self) -> PlacementTable:
        """See the table for reasons, row by row."""
        from zsq_export.backends.onnxruntime_cpu.placement import TABLE

        return TABLE

    def probe(self) -> Probe:
        """Whether ONNX Runtime can be imported; never raises."""
        from zsq_export.device.cpu import this_cpu

        cpu = this_cpu()
        try:
            import onnxruntime
        except Exception as error:
            hint = f"pip install onnxruntime ({error})"
            return Probe(available=False, runtime="", device=cpu.model, int8_hardware=cpu.int8_extension, hint=hint)
        runtime = f"onnxruntime {onnxruntime.__version__}"
        return Probe(available=True, runtime=runtime, device=cpu.model, int8_hardware=cpu.int8_extension)

    def lower(self, qdq: ir.Model, plan: Plan, out_dir: Path) -> tuple[str, ...]:
        """Writes ``model.onnx`` (and ``model.onnx.data`` beyond 2 GB): the QDQ model is the artifact."""
        from zsq_export.graph.saving import save_model

        return save_model(qdq, out_dir / MODEL_NAME)

    def open(self, file: Path, *, threads: int | None) -> Runner:
        """Loads a lowered file.

        Raises:
            ArtifactError: the file is missing.
            TargetUnavailableError: ONNX Runtime refuses the model.
        """
        from zsq_export.backends.onnxruntime_cpu.run import OrtRunner

        return OrtRunner(file, threads=threads)

    def float_precisions(self) -> tuple[FloatPrecision, ...]:
        """f32 only: the CPU provider has no bfloat16 convolutions."""
        return (FloatPrecision.F32,)

    def open_float(self, model: ir.Model, precision: FloatPrecision, *, threads: int | None) -> Runner:
        """The float model in the same runtime.

        Raises:
            UsageError: another precision than f32.
            TargetUnavailableError: ONNX Runtime refuses the model.
        """
        from zsq_export.backends.onnxruntime_cpu.run import OrtRunner

        if precision is not FloatPrecision.F32:
            raise UsageError(f"ONNX Runtime's CPU provider does not run {precision.value}", hint="use f32")
        return OrtRunner.from_model(model, threads=threads)

    def save_float(self, model: ir.Model, out_dir: Path) -> tuple[str, ...]:
        """The float model, as :meth:`open_float` runs it."""
        from zsq_export.graph.saving import save_model

        return save_model(model, out_dir / MODEL_NAME)
