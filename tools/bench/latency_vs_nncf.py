"""Latency of our int8 model against NNCF's and the float model, interleaved in one process, batch 1.

    python tools/bench/latency_vs_nncf.py [NETWORK ...] [--rounds 60] [--threads 2]

Run core_benchmark.py -c auto -s 0 and nncf_baseline.py first. Each round times every model, in a rotating order; the
ratio is the median of the rounds' ratios, so that whatever else the machine does hits all models alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import networks
import numpy as np
from cells import INPUT, Cell, int8_share
from networks import Network

from zsq_export.artifact import read_artifact
from zsq_export.backends.base import Runner
from zsq_export.backends.registry import get_backend
from zsq_export.graph.loading import load_model

TARGET = "openvino"
OURS, NNCF = "ours", "nncf"
WARM_UP_SECONDS, CALL_SECONDS = 1.0, 0.02


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One model of one network.

    Attributes:
        median_ms, low_ms, high_ms: of one inference over the rounds; the quartiles.
        ratio: median of ours / this one.
        int8_macs: share of the multiply-accumulates in int8.
    """

    network: str
    model: str
    median_ms: float
    low_ms: float
    high_ms: float
    ratio: float
    int8_macs: float | None


def open_all(network: Network, work: Path, threads: int) -> dict[str, Runner]:
    """Ours, NNCF's and the float model in every precision that this CPU runs natively."""
    backend = get_backend(TARGET)
    ours = read_artifact(work / "artifacts" / Cell(network=network.name, target=TARGET, calibrator="auto").key)
    runners = {
        OURS: backend.open(ours.entry, threads=threads),
        NNCF: backend.open(work / "nncf" / f"{network.name}.xml", threads=threads),
    }
    model = load_model(networks.assets_dir() / network.file)
    for precision in backend.float_precisions():
        runners[precision.value] = backend.open_float(model, precision, threads=threads)
    return runners


def time_all(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds per call, float64 [rounds] each."""
    repeats = {name: _repeats(call) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for round_number in range(rounds):
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            for _ in range(repeats[name]):
                calls[name]()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    return {name: np.array(values) for name, values in seconds.items()}


def _repeats(call: Callable[[], None]) -> int:
    """Warms up, and returns how many calls one timing needs to be longer than the clock's noise."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < WARM_UP_SECONDS:
        call()
        done += 1
    return max(1, round(CALL_SECONDS * done / (time.perf_counter() - start)))


def compare(network: Network, work: Path, *, rounds: int, threads: int) -> list[Latency]:
    """One line per model."""
    runners = open_all(network, work, threads)
    inputs, _labels = networks.test_data(network)
    seconds = time_all({name: runner.bind({INPUT: inputs[:1]}) for name, runner in runners.items()}, rounds)
    lines = []
    for name, values in seconds.items():
        low, median, high = (float(1e3 * v) for v in np.percentile(values, [25, 50, 75]))
        lines.append(
            Latency(
                network=network.name,
                model=name,
                median_ms=median,
                low_ms=low,
                high_ms=high,
                ratio=float(np.median(seconds[OURS] / values)),
                int8_macs=int8_share(runners[name]),
            )
        )
    return lines


def markdown(lines: list[Latency]) -> str:
    """One row per model."""
    rows = [
        "| model | | median ms | quartiles | ours / this | int8 MACs |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        share = "" if line.int8_macs is None else f"{100 * line.int8_macs:.1f} %"
        spread = f"{line.low_ms:.3f}..{line.high_ms:.3f}"
        rows.append(f"| {line.network} | {line.model} | {line.median_ms:.3f} | {spread} | {line.ratio:.2f} | {share} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Prints and saves; 1 if ours is slower than NNCF's where it may not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="*")
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    chosen = networks.named(tuple(options.network))
    lines = [
        line
        for network in chosen
        for line in compare(network, options.work, rounds=options.rounds, threads=options.threads)
    ]
    print(markdown(lines))
    (options.work / "latency.md").write_text(markdown(lines))
    (options.work / "latency.json").write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    slower = [line for line in lines if line.model == NNCF and _is_slower(line)]
    for line in slower:
        print(f"FAIL  {line.network}: {line.ratio:.2f} x the latency of NNCF's model")
    return 1 if slower else 0


def _is_slower(line: Latency) -> bool:
    (network,) = networks.named((line.network,))
    limit = network.bar.nncf_latency
    return limit is not None and round(line.ratio, 2) > limit


if __name__ == "__main__":
    sys.exit(main())
