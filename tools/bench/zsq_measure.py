"""Calibrates, plans, rounds and measures one network one way, for the zero-shot benchmark."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import literature
import numpy as np
from networks import BATCH
from numpy.typing import NDArray
from zsq_cells import Cell, Protocol, Result, Source, write_json
from zsq_data import SEEDS, Subject, real_inputs, subject, test_data

from zsq_export import pipeline
from zsq_export.backends.registry import get_backend
from zsq_export.calib.base import Device, Effort
from zsq_export.calib.improvement import Improvement
from zsq_export.calib.saved import save_calibration
from zsq_export.errors import ZsqError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepare import prepare_model
from zsq_export.options import CalibrationOptions
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.table import PlacementTable
from zsq_export.quantization.metrics import sqnr_db
from zsq_export.rounding.base import RoundingRequest
from zsq_export.rounding.registry import round_weights

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def calibrate(source: Source, work: Path) -> None:
    """Makes ``calibrations/<key>.npz`` and beside it the seconds and memory that it took, or the obstacle."""
    network = subject(source.network)
    options = CalibrationOptions(
        calibrator=source.calibrator,
        seed=source.seed,
        samples=source.samples or None,
        effort=Effort(source.effort),
        equalize=source.equalize,
        improvements=tuple(map(Improvement, source.improvements)),
        data=_real_data(network, source, work) if source.calibrator == "data" else None,
        device=Device(source.device),
    )
    folder = work / "calibrations"
    folder.mkdir(parents=True, exist_ok=True)
    cost = Cost(device=source.device)
    try:
        made = pipeline.calibrate(network.path, options)
    except ZsqError as error:
        write_json(folder / f"{source.key}.json", {"obstacle": error.message})
        return
    spent = cost.spent()
    save_calibration(made.result, folder / f"{source.key}.npz", made.prepared, overwrite=True)
    write_json(folder / f"{source.key}.json", {**spent, "obstacle": ""})


class Cost:
    """Wall seconds and peak memory from here on."""

    def __init__(self, *, device: str) -> None:
        self._cuda = device != Device.CPU.value
        if self._cuda:
            import torch

            torch.zeros(1, device=device)  # starts the driver, which is nobody's cost
            torch.cuda.reset_peak_memory_stats()
        if os.access(_RESET, os.W_OK):
            _RESET.write_text("5")
        self._start = time.perf_counter()

    def spent(self) -> dict[str, float]:
        """``seconds``, ``peak_gib`` and ``gpu_gib``."""
        seconds = time.perf_counter() - self._start
        peak = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        gpu = 0.0
        if self._cuda:
            import torch

            gpu = torch.cuda.max_memory_allocated() / 2**30
        return {"seconds": seconds, "peak_gib": int(peak.split()[1]) / 2**20, "gpu_gib": gpu}


def measure(cell: Cell, work: Path) -> Result:
    """Plans, rounds and runs the labelled test data through the QDQ model in ONNX Runtime."""
    network = subject(cell.source.network)
    before = json.loads((work / "calibrations" / f"{cell.source.key}.json").read_text())
    if before["obstacle"]:
        return Result(cell=cell, obstacle=before["obstacle"])
    calibrated = pipeline.resume(network.path, work / "calibrations" / f"{cell.source.key}.npz")
    options = _plan_options(cell, equalized=calibrated.equalized)
    cost = Cost(device=cell.source.device)
    try:
        plan = make_plan(calibrated.prepared, calibrated.result.statistics, table_of(cell.protocol), options)
        rounded = round_weights(
            RoundingRequest(
                model=calibrated.prepared.folded,
                plan=plan,
                statistics=calibrated.result.statistics,
                inputs=calibrated.result.inputs,
                seed=cell.source.seed,
                steps=cell.steps or None,
                device=cell.source.device,
            )
        )
    except ZsqError as error:
        return Result(cell=cell, obstacle=error.message)
    spent = cost.spent()
    inputs, labels = test_data(network)
    reference = _reference(network, inputs, work)
    quantized = pipeline.insert_qdq(calibrated.prepared, rounded.plan, rounded.integers)
    logits = logits_of(OrtSession(quantized, threads=_threads()), calibrated.prepared.inputs[0].name, inputs)
    return Result(
        cell=cell,
        float_top1=_percent(reference.argmax(1) == labels),
        top1=_percent(logits.argmax(1) == labels),
        sqnr=sqnr_db(reference, logits),
        agreement=_percent(logits.argmax(1) == reference.argmax(1)),
        calibration_seconds=before["seconds"],
        rounding_seconds=spent["seconds"],
        peak_gib=max(spent["peak_gib"], before["peak_gib"]),
        gpu_gib=max(spent["gpu_gib"], before["gpu_gib"]),
    )


def _reference(network: Subject, inputs: NDArray[np.float32], work: Path) -> NDArray[np.float32]:
    """The float model's logits, computed once."""
    path = work / "reference" / f"{network.name}.npy"
    if path.exists():
        found: NDArray[np.float32] = np.load(path)
        return found
    session = OrtSession(network.path, threads=_threads())
    logits = logits_of(session, prepare_model(network.path).inputs[0].name, inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{network.name}.{os.getpid()}.npy")
    np.save(partial, logits)
    partial.replace(path)
    return logits


def _plan_options(cell: Cell, *, equalized: bool) -> PlanOptions:
    """Literature: the first and the last layer are as narrow as all others."""
    options = PlanOptions(
        weights_bits=cell.weights, activations_bits=cell.activations, rounding=cell.rounding, equalized=equalized
    )
    return replace(options, edge_bits=cell.weights) if cell.protocol is Protocol.LITERATURE else options


def table_of(protocol: Protocol) -> PlacementTable:
    """The placement of a protocol."""
    tables = {
        Protocol.LITERATURE: lambda: literature.TABLE,
        Protocol.DEPLOYABLE: lambda: get_backend("onnxruntime").placement(),
    }
    return tables[protocol]()


def _real_data(network: Subject, source: Source, work: Path) -> Path:
    path = work / "real" / f"{source.key}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=real_inputs(network, source.samples, source.seed - SEEDS[0]))
    return path


def logits_of(session: OrtSession, name: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the model says to all inputs, of which it has one, ``name``."""
    batches = (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))
    return np.concatenate([next(iter(session.run({name: batch}).values())) for batch in batches])


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


def _percent(hits: NDArray[np.bool_]) -> float:
    return 100.0 * float(np.mean(hits))
