"""TensorFlow Lite (LiteRT): one .tflite file with exactly the plan's scales, written without any converter."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.base import Probe, Runner
from zsq_export.backends.options import FloatPrecision, TargetOptions
from zsq_export.backends.tflite_edge.settings import SCHEMES, TfliteSettings
from zsq_export.errors import UsageError
from zsq_export.planning.plan import Plan
from zsq_export.planning.schemes import Scheme
from zsq_export.planning.table import PlacementTable
from zsq_export.preprocessing import PREPROCESSING_PROPERTY

MODEL_NAME = "model.tflite"


class TfliteEdge:
    """The backend; see :class:`zsq_export.backends.base.Backend` for the contract."""

    name = "tflite"
    summary = "TensorFlow Lite for LiteRT: phones, single-board computers, microcontrollers"
    extra = "tflite"
    schemes: tuple[Scheme, ...] = SCHEMES
    notes: tuple[str, ...] = ()

    def __init__(self, settings: TfliteSettings | None = None) -> None:
        self.settings = settings or TfliteSettings()

    @property
    def options(self) -> TargetOptions:
        """As configured."""
        return self.settings.options()

    def configured(self, options: TargetOptions) -> TfliteEdge:
        """The target with these options.

        Raises:
            UsageError: an option that this target does not have.
        """
        return TfliteEdge(TfliteSettings.of(options, self.name))

    def placement(self) -> PlacementTable:
        """See the table for reasons, row by row."""
        from zsq_export.backends.tflite_edge.placement import table_for
        from zsq_export.backends.tflite_edge.runtime import runtime_version

        return table_for(self.settings, runtime_version())

    def probe(self) -> Probe:
        """Whether LiteRT is installed; never raises."""
        from zsq_export.backends.tflite_edge.runtime import probe_litert

        return probe_litert()

    def lower(self, qdq: ir.Model, plan: Plan, out_dir: Path) -> tuple[str, ...]:
        """Writes ``model.tflite``.

        Raises:
            TargetUnavailableError: ai-edge-litert is not installed.
            UnsupportedOpError: an op or attribute value that is not handled.
            ModelError: more than one flatbuffer holds.
        """
        (out_dir / MODEL_NAME).write_bytes(self._emitted(qdq))
        return (MODEL_NAME,)

    def open(self, file: Path, *, threads: int | None) -> Runner:
        """Loads a .tflite file.

        Raises:
            ArtifactError: it is missing or no TFLite model.
            TargetUnavailableError: LiteRT is missing or refuses the model.
        """
        from zsq_export.backends.tflite_edge.runtime import require_writer

        require_writer()
        from zsq_export.backends.tflite_edge.run import LiteRtRunner, read_file

        return LiteRtRunner(read_file(file), threads=threads, name=file.name)

    def rest_precisions(self) -> tuple[FloatPrecision, ...]:
        """Nothing to choose."""
        return ()

    def float_precisions(self) -> tuple[FloatPrecision, ...]:
        """f32 only."""
        return (FloatPrecision.F32,)

    def open_float(self, model: ir.Model, precision: FloatPrecision, *, threads: int | None) -> Runner:
        """The float model in the same runtime, emitted by the same code.

        Raises:
            UsageError: another precision than f32.
            TargetUnavailableError: LiteRT is missing or refuses the model.
            UnsupportedOpError: an op or attribute value that is not handled.
        """
        if precision is not FloatPrecision.F32:
            raise UsageError(f"LiteRT's CPU kernels do not run {precision.value}", hint="use f32")
        content = TfliteEdge()._emitted(model)
        from zsq_export.backends.tflite_edge.run import LiteRtRunner

        return LiteRtRunner(content, threads=threads)

    def save_float(self, model: ir.Model, out_dir: Path) -> tuple[str, ...]:
        """The float model as a .tflite file, as :meth:`open_float` runs it.

        Raises:
            TargetUnavailableError: ai-edge-litert is not installed.
            UnsupportedOpError: an op or attribute value that is not handled.
        """
        (out_dir / MODEL_NAME).write_bytes(TfliteEdge()._emitted(model))
        return (MODEL_NAME,)

    def _emitted(self, model: ir.Model) -> bytes:
        from zsq_export.backends.tflite_edge.runtime import require_writer

        require_writer()
        from zsq_export.backends.tflite_edge.lower import lower_graph
        from zsq_export.backends.tflite_edge.metadata import metadata_of
        from zsq_export.backends.tflite_edge.writer import to_bytes

        lowered = lower_graph(model, self.settings)
        return to_bytes(
            lowered.graph, metadata=metadata_of(lowered, model.metadata_props.get(PREPROCESSING_PROPERTY, ""))
        )
