"""What is in an artifact's folder, and what its manifest says."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from zsq_export.artifact import PLAN_NAME, PREPROCESSING_NAME, QDQ_NAME, record_files
from zsq_export.backends.base import Backend
from zsq_export.calib.base import CalibrationResult, Provenance
from zsq_export.calibration_record import write_calibration_record
from zsq_export.graph.prepared import PreparedModel, SourceFile
from zsq_export.graph.saving import save_model
from zsq_export.graph.source import source_size
from zsq_export.graph.topology import static_shape
from zsq_export.manifest import Manifest, ModelRecord, TensorRecord
from zsq_export.planning.plan import Plan
from zsq_export.planning.plan_json import plan_to_json
from zsq_export.preprocessing import PREPROCESSING_PROPERTY
from zsq_export.version import package_version, version


def fill_artifact(
    folder: Path,
    prepared: PreparedModel,
    calibration: CalibrationResult,
    plan: Plan,
    qdq: ir.Model,
    backend: Backend,
    options: tuple[tuple[str, str], ...],
) -> Manifest:
    """Writes every file but the manifest, and returns the manifest that describes them.

    Raises:
        TargetUnavailableError: the runtime that is needed to lower is missing.
        OSError: a file cannot be written.
    """
    if calibration.preprocessing is not None:
        qdq.metadata_props[PREPROCESSING_PROPERTY] = calibration.preprocessing.to_json()
    save_model(qdq, folder / QDQ_NAME)
    lowered = _lower(backend, qdq, plan, folder)
    (folder / PLAN_NAME).write_text(plan_to_json(plan))
    if calibration.preprocessing is not None:
        (folder / PREPROCESSING_NAME).write_text(calibration.preprocessing.to_json())
    write_calibration_record(folder, calibration, plan)
    return Manifest(
        target=backend.name,
        entry=lowered[0],
        lowered=lowered,
        model=model_record(prepared.source),
        seed=calibration.provenance.seed,
        options=options,
        versions=_versions(backend),
        calibration=calibration.provenance,
        preprocessing=calibration.preprocessing,
        inputs=_tensors(prepared.folded.graph.inputs),
        outputs=_tensors(prepared.folded.graph.outputs),
        files=record_files(folder),
        notes=backend.notes,
    )


def _lower(backend: Backend, qdq: ir.Model, plan: Plan, folder: Path) -> tuple[str, ...]:
    try:
        return backend.lower(qdq, plan, folder)
    except RuntimeError as error:
        # All that a C++ stream says of a full disk, in a folder that could be written a moment ago.
        if "iostream" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def provenance_of_plan() -> Provenance:
    """Where the ranges of a conversion come from that was given a plan and no calibration."""
    return Provenance(calibrator="none", seed=0, samples=0, notes=("all ranges were taken from the given plan",))


def model_record(source: SourceFile) -> ModelRecord:
    """The float model as the manifest names it."""
    path = source.path.resolve()
    return ModelRecord(name=path.name, path=str(path), sha256=source.sha256, size=source_size(path))


def _tensors(values: Sequence[ir.Value]) -> tuple[TensorRecord, ...]:
    return tuple(TensorRecord(name=str(value.name), shape=static_shape(value) or ()) for value in values)


def _versions(backend: Backend) -> tuple[tuple[str, str], ...]:
    packages = ("numpy", "onnx", "onnx-ir", "onnxruntime", "torch")
    found = tuple((name, package_version(name)) for name in packages)
    return (("zsq-export", version()), *found, ("target runtime", backend.probe().runtime))
