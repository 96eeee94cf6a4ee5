"""One cell of the zero-shot benchmark: calibrate, plan, round and measure one network one way, in a process of its own.

python tools/bench/zsq_cells.py calibrate '{"network": ...}' WORK
python tools/bench/zsq_cells.py measure '{"network": ...}' WORK
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import literature
import networks
import numpy as np
from networks import BATCH, Network
from numpy.typing import NDArray

from zsq_export import pipeline
from zsq_export.backends.registry import get_backend
from zsq_export.calib.base import Effort
from zsq_export.calib.saved import save_calibration
from zsq_export.errors import ZsqError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.options import CalibrationOptions
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.table import PlacementTable
from zsq_export.quantization.metrics import sqnr_db
from zsq_export.rounding.base import RoundingRequest
from zsq_export.rounding.registry import round_weights

INPUT = "input"
THREADS = 1


class Protocol(StrEnum):
    """Which tensors are quantized."""

    DEPLOYABLE = "deployable"
    LITERATURE = "literature"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where statistics and inputs come from; cells of one source share one calibration.

    Attributes:
        network: name of the file.
        calibrator: registered name.
        seed: of its random choices.
        samples: inputs made.
        effort: of the calibrator.
        equalize: cross-layer equalization first.
    """

    network: str
    calibrator: str
    seed: int = 0
    samples: int = 256
    effort: str = "balanced"
    equalize: bool = False

    @property
    def key(self) -> str:
        """File name without its ending."""
        equalized = ".equalized" if self.equalize else ""
        return f"{self.network}.{self.calibrator}.{self.effort}{self.samples}.{self.seed}{equalized}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is measured.

    Attributes:
        source: of the statistics.
        protocol: placement.
        rounding: registered name.
        weights, activations: bits; 32: float.
        steps: of a learned rounding; 0: its default.
    """

    source: Source
    protocol: Protocol
    rounding: str
    weights: int
    activations: int
    steps: int = 0

    @property
    def key(self) -> str:
        """File name without its ending."""
        steps = f".{self.steps}" if self.steps else ""
        return f"{self.source.key}.{self.protocol}.{self.rounding}{steps}.w{self.weights}a{self.activations}"

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Cell:
        """Reads what ``asdict`` and JSON made of one."""
        return cls(**{**raw, "source": Source(**raw["source"]), "protocol": Protocol(raw["protocol"])})


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Attributes:
        cell: see there.
        float_top1, top1: percent, on all labelled test images.
        sqnr: of the logits against the float model's, dB.
        calibration_seconds, rounding_seconds: wall time; evaluation and start of the interpreter excluded.
        peak_gib: peak resident memory of calibration or rounding, whichever is larger.
        obstacle: why nothing was measured, in one line; "" otherwise.
    """

    cell: Cell
    float_top1: float = 0.0
    top1: float = 0.0
    sqnr: float = 0.0
    calibration_seconds: float = 0.0
    rounding_seconds: float = 0.0
    peak_gib: float = 0.0
    obstacle: str = ""

    @property
    def drop(self) -> float:
        """Points lost."""
        return self.float_top1 - self.top1

    @property
    def seconds(self) -> float:
        """Of the method as a whole."""
        return self.calibration_seconds + self.rounding_seconds

    @classmethod
    def load(cls, path: Path) -> Result | None:
        """The result of an earlier run; None where there is none, or half of one."""
        try:
            raw: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        return cls(**{**raw, "cell": Cell.from_dict(raw["cell"])})


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all, so that a stopped run can be resumed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)


def calibrate(source: Source, work: Path) -> None:
    """Makes ``calibrations/<key>.npz`` and beside it the seconds and memory that it took, or the obstacle."""
    (network,) = networks.named((source.network,))
    options = CalibrationOptions(
        calibrator=source.calibrator,
        seed=source.seed,
        samples=source.samples,
        effort=Effort(source.effort),
        equalize=source.equalize,
        data=_real_data(network, source.samples, work) if source.calibrator == "data" else None,
    )
    start = time.perf_counter()
    folder = work / "calibrations"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = pipeline.calibrate(_model(network), options)
    except ZsqError as error:
        write_json(folder / f"{source.key}.json", {"obstacle": error.message})
        return
    seconds = time.perf_counter() - start
    save_calibration(made.result, folder / f"{source.key}.npz", made.prepared, overwrite=True)
    write_json(folder / f"{source.key}.json", {"seconds": seconds, "peak_gib": _peak_gib(), "obstacle": ""})


def measure(cell: Cell, work: Path) -> Result:
    """Plans, rounds and runs the labelled test images through the QDQ model in ONNX Runtime."""
    (network,) = networks.named((cell.source.network,))
    cost = json.loads((work / "calibrations" / f"{cell.source.key}.json").read_text())
    if cost["obstacle"]:
        return Result(cell=cell, obstacle=cost["obstacle"])
    calibrated = pipeline.resume(_model(network), work / "calibrations" / f"{cell.source.key}.npz")
    options = _plan_options(cell, equalized=calibrated.equalized)
    start = time.perf_counter()
    try:
        plan = make_plan(calibrated.prepared, calibrated.result.statistics, _table(cell.protocol), options)
        rounded = round_weights(
            RoundingRequest(
                model=calibrated.prepared.folded,
                plan=plan,
                statistics=calibrated.result.statistics,
                inputs=calibrated.result.inputs,
                seed=cell.source.seed,
                steps=cell.steps or None,
            )
        )
    except ZsqError as error:
        return Result(cell=cell, obstacle=error.message)
    seconds, peak = time.perf_counter() - start, _peak_gib()
    inputs, labels = networks.test_data(network)
    reference = _logits(OrtSession(_model(network), threads=THREADS), inputs)
    quantized = pipeline.insert_qdq(calibrated.prepared, rounded.plan, rounded.integers)
    logits = _logits(OrtSession(quantized, threads=THREADS), inputs)
    return Result(
        cell=cell,
        float_top1=_percent(reference.argmax(1) == labels),
        top1=_percent(logits.argmax(1) == labels),
        sqnr=sqnr_db(reference, logits),
        calibration_seconds=cost["seconds"],
        rounding_seconds=seconds,
        peak_gib=max(peak, cost["peak_gib"]),
    )


def _plan_options(cell: Cell, *, equalized: bool) -> PlanOptions:
    """Literature: the first and the last layer are as narrow as all others."""
    options = PlanOptions(
        weights_bits=cell.weights, activations_bits=cell.activations, rounding=cell.rounding, equalized=equalized
    )
    return replace(options, edge_bits=cell.weights) if cell.protocol is Protocol.LITERATURE else options


def _table(protocol: Protocol) -> PlacementTable:
    tables = {
        Protocol.LITERATURE: lambda: literature.TABLE,
        Protocol.DEPLOYABLE: lambda: get_backend("onnxruntime").placement(),
    }
    return tables[protocol]()


def _model(network: Network) -> Path:
    return networks.assets_dir() / network.file


def _real_data(network: Network, samples: int, work: Path) -> Path:
    path = work / f"{network.name}.real{samples}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=networks.real_images(network)[:samples])
    return path


def _logits(session: OrtSession, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    batches = (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))
    return np.concatenate([next(iter(session.run({INPUT: batch}).values())) for batch in batches])


def _percent(hits: NDArray[np.bool_]) -> float:
    return 100.0 * float(np.mean(hits))


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Runs one step; see the module's docstring."""
    action, raw, work = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
    if action == "calibrate":
        calibrate(Source(**raw), work)
    else:
        cell = Cell.from_dict(raw)
        write_json(work / "zsq" / f"{cell.key}.json", asdict(measure(cell, work)))


if __name__ == "__main__":
    main()
