"""Calibrations that are kept, and what is made of them: the parts that the tflite measurements share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.backends.tflite_edge.run import LiteRtRunner
from zsq_export.calib.saved import save_calibration
from zsq_export.execution.ort_session import OrtSession
from zsq_export.options import CalibrationOptions
from zsq_export.pipeline import Calibrated, Conversion, calibrate, insert_qdq, plan_for, resume, round_plan
from zsq_export.planning import PlanOptions
from zsq_export.planning.schemes import Scheme

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

THREADS = 2


def calibrated(file: Path, work: Path, calibrator: str, seed: int = 0) -> Calibrated:
    """The saved calibration, or a new one."""
    saved = work / f"{file.stem}.{calibrator}.s{seed}.npz"
    if not saved.exists():
        made = calibrate(file, CalibrationOptions(calibrator=calibrator, seed=seed))
        save_calibration(made.result, saved, made.prepared)
    return resume(file, saved)


def quantized(made: Calibrated, backend, options: PlanOptions | None = None) -> ir.Model:  # type: ignore[no-untyped-def]
    """The QDQ model by the defaults of ``convert``: planned, rounded, inserted."""
    plan = plan_for(made, backend, options or PlanOptions())
    conversion = Conversion(model=made.prepared.source.path, targets=(backend.name,), output=Path())
    rounded = round_plan(conversion, made, plan)
    return insert_qdq(made.prepared, rounded.plan, rounded.integers)


def tflite_file(made: Calibrated, options: TargetOptions | None = None, planning: PlanOptions | None = None) -> bytes:
    """The lowered model."""
    backend = TfliteEdge().configured(options or TargetOptions())
    return backend._emitted(quantized(made, backend, planning))


def tflite_run(made: Calibrated, scheme: Scheme = Scheme.INT8, planning: PlanOptions | None = None) -> Run:
    """Its only output."""
    runner = LiteRtRunner(tflite_file(made, TargetOptions(scheme=scheme), planning), threads=THREADS)
    name = made.prepared.inputs[0].name
    return lambda x: next(iter(runner.run({name: x}).values()))


def float_run(made: Calibrated) -> Run:
    """The float model in ONNX Runtime."""
    session = OrtSession(made.prepared.source.path)
    name = made.prepared.inputs[0].name
    return lambda x: next(iter(session.run({name: x}).values()))


def openvino_run(made: Calibrated) -> Run:
    """The artifact of the target openvino from the same calibration."""
    backend, name = get_backend("openvino"), made.prepared.inputs[0].name
    plan = plan_for(made, backend, PlanOptions())
    with tempfile.TemporaryDirectory() as folder:
        entry = backend.lower(quantized(made, backend), plan, Path(folder))[0]
        runner = backend.open(Path(folder) / entry, threads=THREADS)
    return lambda x: next(iter(runner.run({name: x}).values()))


def top1(run: Run, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Percent, batch by batch."""
    size = networks.BATCH
    found = [run(inputs[start : start + size]).argmax(1) for start in range(0, len(inputs), size)]
    return 100 * float(np.mean(np.concatenate(found) == labels))
