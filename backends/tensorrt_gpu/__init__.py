"""TensorRT on NVIDIA GPUs: engines from an explicit QDQ graph in float16. One backend, two packages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import onnx_ir as ir

from zsq_export.backends.base import Probe, Runner, Violation
from zsq_export.backends.options import FloatPrecision, ShapeRanges, TargetOptions, configure
from zsq_export.backends.tensorrt_gpu.flavours import TENSORRT, TENSORRT_RTX, Flavour
from zsq_export.errors import ArtifactError
from zsq_export.planning.plan import Plan
from zsq_export.planning.schemes import Scheme
from zsq_export.planning.table import PlacementTable

_UNPROVEN = (
    "TensorRT for RTX promises float16 and quantized weights; int8 activations build, but were never run here: compare "
    "the engine with --scheme fp16 on your GPU before you rely on it"
)
_NO_MATRICES = "int4-weight stores the weights of matrix products in 4 bits; convolutions stay float16"


class _TensorRtBackend:
    """The backend; see :class:`zsq_export.backends.base.Backend` for the contract."""

    flavour: Flavour

    def __init__(self, options: TargetOptions | None = None) -> None:
        self.name, self.summary, self.extra = self.flavour.name, self.flavour.summary, self.flavour.extra
        self.schemes = self.flavour.schemes
        self.options = options or TargetOptions(scheme=self.schemes[0], shapes=ShapeRanges())

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unproven of the scheme."""
        unproven = self.flavour is TENSORRT_RTX and self.options.scheme is Scheme.INT8
        narrow = self.options.scheme is Scheme.INT4_WEIGHT
        return (*((_UNPROVEN,) if unproven else ()), *((_NO_MATRICES,) if narrow else ()))

    def configured(self, options: TargetOptions) -> Self:
        """The same target with these options.

        Raises:
            UsageError: an option that the package does not have, or a device that it does not build for.
        """
        defaults = TargetOptions(scheme=self.schemes[0], shapes=ShapeRanges())
        own = ("workspace_mib", *self.flavour.options)
        made = configure(options, defaults, target=self.name, schemes=self.schemes, without_default=own)
        if made.compute_capabilities:
            from zsq_export.backends.tensorrt_gpu.runtime import check_capabilities

            check_capabilities(self.flavour, made.compute_capabilities)
        return type(self)(made)

    def placement(self) -> PlacementTable:
        """See the tables for reasons, row by row."""
        from zsq_export.backends.tensorrt_gpu.placement import TABLES

        return replace(TABLES[self.options.scheme or self.schemes[0]], target=self.name)

    def check_rules(self, model: ir.Model) -> tuple[Violation, ...]:
        """Where a QDQ model, whoever made it, breaks TensorRT's rules."""
        from zsq_export.backends.tensorrt_gpu.rules import check_rules

        return check_rules(model)

    def probe(self) -> Probe:
        """Whether the package and a GPU that it supports are here; never raises."""
        from zsq_export.backends.tensorrt_gpu.runtime import probe

        return probe(self.flavour)

    def lower(self, qdq: ir.Model, plan: Plan, out_dir: Path) -> tuple[str, ...]:
        """Writes the engine, what its layers became, and the typed ONNX file that it was built from.

        Raises:
            TargetUnavailableError: the package is missing, or needs a GPU to build and there is none.
            KernelMissingError: a node has no kernel in this type.
            ModelError: the parser refuses a node.
            UsageError: shapes or devices that do not fit.
        """
        from zsq_export.backends.tensorrt_gpu.lower import lower_to_engine
        from zsq_export.backends.tensorrt_gpu.runtime import import_library

        return lower_to_engine(import_library(self.flavour), qdq, plan, out_dir, self.options)

    def open(self, file: Path, *, threads: int | None) -> Runner:
        """Loads an engine on this machine's GPU.

        Raises:
            TargetUnavailableError: no package, GPU or driver, or the engine is for another GPU or version.
            ArtifactError: the file is missing or no engine.
        """
        from zsq_export.backends.tensorrt_gpu.lower import LAYERS_NAME
        from zsq_export.backends.tensorrt_gpu.run import TensorRtRunner
        from zsq_export.backends.tensorrt_gpu.runtime import import_library

        library = import_library(self.flavour)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ArtifactError(f"cannot read {file}: {error}", hint="convert the model again") from error
        return TensorRtRunner(library, data, self.options, layers=file.with_name(LAYERS_NAME))

    def rest_precisions(self) -> tuple[FloatPrecision, ...]:
        """Nothing to choose."""
        return ()

    def float_precisions(self) -> tuple[FloatPrecision, ...]:
        """f32, and f16: the baseline that integers have to beat."""
        return FloatPrecision.F32, FloatPrecision.F16

    def open_float(self, model: ir.Model, precision: FloatPrecision, *, threads: int | None) -> Runner:
        """The float model as an engine of its own.

        Raises:
            TargetUnavailableError: see :meth:`open`.
        """
        from zsq_export.backends.tensorrt_gpu.lower import build_in_memory
        from zsq_export.backends.tensorrt_gpu.run import TensorRtRunner
        from zsq_export.backends.tensorrt_gpu.runtime import import_library
        from zsq_export.passes.to_half import ToHalf

        library, typed = import_library(self.flavour), model.clone()
        if precision is FloatPrecision.F16:
            ToHalf()(typed)
        return TensorRtRunner(library, build_in_memory(library, typed, self.options), self.options)


class TensorRt(_TensorRtBackend):
    """The full TensorRT, versions 10 and 11."""

    flavour = TENSORRT


class TensorRtRtx(_TensorRtBackend):
    """TensorRT for RTX."""

    flavour = TENSORRT_RTX
