"""OpenVINO on a CPU: int8 IR files that run in the oneDNN kernels of its CPU plugin."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.base import Probe, Runner
from zsq_export.backends.int8_only import Int8Only
from zsq_export.backends.options import FloatPrecision, TargetOptions, configure
from zsq_export.planning.plan import Plan
from zsq_export.planning.table import PlacementTable


class OpenVinoCpu(Int8Only):
    """The backend; see :class:`zsq_export.backends.base.Backend` for the contract."""

    name = "openvino"
    summary = "OpenVINO IR for x86 and Arm CPUs"
    extra = "openvino"

    def __init__(self, options: TargetOptions | None = None) -> None:
        self.options = options or type(self).options

    def configured(self, options: TargetOptions) -> OpenVinoCpu:
        """With the precision of what stays in float.

        Raises:
            UsageError: an option that this target does not have.
        """
        own = ("float_precision",)
        made = configure(options, self.options, target=self.name, schemes=self.schemes, without_default=own)
        return OpenVinoCpu(made)

    def placement(self) -> PlacementTable:
        """See the table for reasons, row by row."""
        from zsq_export.backends.openvino_cpu.placement import TABLE

        return TABLE

    def probe(self) -> Probe:
        """Whether OpenVINO is installed and finds a CPU; never raises."""
        from zsq_export.backends.openvino_cpu.runtime import probe_openvino

        return probe_openvino()

    def lower(self, qdq: ir.Model, plan: Plan, out_dir: Path) -> tuple[str, ...]:
        """Writes ``model.xml`` and ``model.bin``, which say in which precision the rest runs, if the plan does.

        Raises:
            TargetUnavailableError: OpenVINO is not installed.
        """
        from zsq_export.backends.openvino_cpu.lower import lower_to_ir

        return lower_to_ir(qdq, out_dir, TargetOptions.from_settings(plan.settings).float_precision)

    def open(self, file: Path, *, threads: int | None) -> Runner:
        """Loads an IR file; what the plan left float runs in the precision that the file says, else in f32.

        Raises:
            ArtifactError: the file is no OpenVINO IR.
            TargetUnavailableError: OpenVINO is missing or refuses the model.
        """
        from zsq_export.backends.openvino_cpu.run import OpenVinoRunner
        from zsq_export.backends.openvino_cpu.runtime import read_ir
        from zsq_export.device.openvino_cpu import rest_precision

        model = read_ir(file)
        return OpenVinoRunner(model, precision=FloatPrecision(rest_precision(model, "f32")), threads=threads)

    def rest_precisions(self) -> tuple[FloatPrecision, ...]:
        """What stays in float can run in all that the CPU has."""
        return self.float_precisions()

    def float_precisions(self) -> tuple[FloatPrecision, ...]:
        """f32, and the half precisions that the CPU multiplies natively."""
        from zsq_export.device.openvino_cpu import float_precisions

        return tuple(map(FloatPrecision, float_precisions()))

    def open_float(self, model: ir.Model, precision: FloatPrecision, *, threads: int | None) -> Runner:
        """The float model in the same runtime.

        Raises:
            TargetUnavailableError: OpenVINO is missing or refuses the model.
        """
        from zsq_export.backends.openvino_cpu.lower import to_openvino
        from zsq_export.backends.openvino_cpu.run import OpenVinoRunner

        return OpenVinoRunner(to_openvino(model), precision=precision, threads=threads)

    def save_float(self, model: ir.Model, out_dir: Path) -> tuple[str, ...]:
        """The float model as an IR, as :meth:`open_float` runs it.

        Raises:
            TargetUnavailableError: OpenVINO is not installed.
        """
        from zsq_export.backends.openvino_cpu.lower import lower_to_ir

        return lower_to_ir(model, out_dir)
