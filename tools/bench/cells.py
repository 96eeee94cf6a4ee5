"""One cell of the benchmark: convert one network one way, and measure what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import networks
import numpy as np
from networks import BATCH, Network
from numpy.typing import NDArray

from zsq_export.artifact import read_artifact
from zsq_export.backends.base import Runner
from zsq_export.backends.registry import get_backend
from zsq_export.quantization.metrics import sqnr_db

THREADS = 2
INPUT = "input"
"""What every network of the assets calls its only input."""
NNCF = "nncf"
"""Stands where a calibrator would: the model that tools/bench/nncf_baseline.py wrote."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is converted and how."""

    network: str
    target: str
    calibrator: str
    seed: int = 0
    folded: bool = False
    effort: str = "balanced"

    @property
    def key(self) -> str:
        """File name of the result."""
        fold = "-folded" if self.folded else ""
        return f"{self.network}{fold}.{self.target}.{self.calibrator}.{self.effort}.{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Attributes:
        cell: see there.
        float_top1, top1, agreement: percent, on all labelled test images.
        sqnr: of the logits against the float model's, dB.
        int8_macs: share of the multiply-accumulates that ran in int8; None where the runtime does not tell.
        seconds: wall time of the convert command, start of the interpreter included; None for the NNCF baseline.
        peak_gib: its peak resident memory.
    """

    cell: Cell
    float_top1: float
    top1: float
    agreement: float
    sqnr: float
    int8_macs: float | None
    seconds: float | None
    peak_gib: float | None

    def save(self, folder: Path) -> None:
        """Writes ``<key>.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.cell.key}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, cell: Cell) -> Result | None:
        """The result of an earlier run, or None."""
        path = folder / f"{cell.key}.json"
        if not path.is_file():
            return None
        raw: dict[str, Any] = json.loads(path.read_text())
        return cls(**{**raw, "cell": Cell(**raw["cell"])})


def fold_batchnorm(source: Path, destination: Path) -> Path:
    """Folds BatchNorm as others do (ONNX Runtime's basic optimizations), so that our own folding is not the judge."""
    if not destination.exists():
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(destination)
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return destination


def model_file(network: Network, work: Path, *, folded: bool) -> Path:
    """The network as the cell wants it."""
    source = networks.assets_dir() / network.file
    return fold_batchnorm(source, work / f"{network.name}-folded.onnx") if folded else source


def measure(cell: Cell, work: Path) -> Result:
    """Converts (NNCF: only opens) and measures on the labelled test images.

    Raises:
        RuntimeError: the conversion failed; the message holds what it said.
    """
    (network,) = networks.named((cell.network,))
    seconds = peak = None
    if cell.calibrator == NNCF:
        entry = work / "nncf" / f"{network.name}.xml"
    else:
        seconds, peak = _convert(cell, network, work)
        entry = read_artifact(work / "artifacts" / cell.key).entry
    runner = get_backend(cell.target).open(entry, threads=THREADS)
    inputs, labels = networks.test_data(network)
    reference, logits = _float_logits(network), _run(runner, inputs)
    return Result(
        cell=cell,
        float_top1=_percent(reference.argmax(1) == labels),
        top1=_percent(logits.argmax(1) == labels),
        agreement=_percent(logits.argmax(1) == reference.argmax(1)),
        sqnr=sqnr_db(reference, logits),
        int8_macs=int8_share(runner),
        seconds=seconds,
        peak_gib=peak,
    )


def int8_share(runner: Runner) -> float | None:
    """Share of the multiply-accumulates that ran in 8-bit integers."""
    ops = runner.executed_precisions()
    total = sum(op.macs for op in ops)
    return sum(op.macs for op in ops if op.precision in {"i8", "u8"}) / total if total else None


def command(cell: Cell, network: Network, work: Path) -> list[str]:
    """The command line that a user would type."""
    model = model_file(network, work, folded=cell.folded)
    line = [sys.executable, "-m", "zsq_export", "convert", str(model), "--target", cell.target]
    line += ["--calibrator", cell.calibrator, "--seed", str(cell.seed), "--effort", cell.effort]
    if cell.calibrator == "data":
        line += ["--data", str(_real_data(network, work))]
    if network.spec:
        line += ["--preprocessing", str(networks.write_spec(network, work / f"{network.name}.spec.json"))]
    return [*line, "--overwrite", "--quiet", "--output", str(work / "artifacts" / cell.key)]


def _convert(cell: Cell, network: Network, work: Path) -> tuple[float, float]:
    """Runs the command in a process of its own; wall seconds and peak GiB of that process."""
    (work / "artifacts").mkdir(parents=True, exist_ok=True)
    line = command(cell, network, work)
    with (work / "artifacts" / f"{cell.key}.log").open("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(line, stdout=log, stderr=log)
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}: {log.read().strip()}")
    return seconds, usage.ru_maxrss / 2**20


def _real_data(network: Network, work: Path) -> Path:
    path = work / f"{network.name}.real.npz"
    if not path.exists():
        np.savez(path, x=networks.real_images(network))
    return path


def _batches(inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]


def _run(runner: Runner, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits [N, classes]."""
    return np.concatenate([next(iter(runner.run({INPUT: batch}).values())) for batch in _batches(inputs)])


@cache
def _float_logits(network: Network) -> NDArray[np.float32]:
    """What the float model says in ONNX Runtime: the reference of every comparison."""
    session = networks.assets().session(str(networks.assets_dir() / network.file), THREADS)
    inputs, _labels = networks.test_data(network)
    return np.concatenate([session(batch)[0] for batch in _batches(inputs)])


def _percent(hits: NDArray[np.bool_]) -> float:
    return 100.0 * float(np.mean(hits))
