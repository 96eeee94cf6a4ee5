"""Do latency ratios repeat? Three runs of each artifact, and how far they lie apart.

    python tools/bench/latency_repeat.py ARTIFACT [ARTIFACT ...] [--threads 1,2] [--runs 3] [--within 5]

Every run opens the models anew and measures as `validate` does. Prints PASS where every run lies within so many percent
of the middle one. Nothing else need be idle: that is the point.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from zsq_export.artifact import read_artifact
from zsq_export.cli.options import integer_list
from zsq_export.validation.bench import LocalBench, LocalSettings
from zsq_export.validation.figures import Latency
from zsq_export.validation.latency import LatencyOptions
from zsq_export.verification import Opened, Verification, open_artifact


def measure(opened: Opened, threads: int, options: LatencyOptions) -> Latency:
    """One run."""
    settings = LocalSettings(threads=threads, latency=options, progress=lambda _text, _done: None)
    bench = LocalBench(opened.backend, opened.subject.entry, opened.subject.prepared, settings)
    return bench.latencies(opened.samples)[0]


def check(folder: Path, threads: int, options: argparse.Namespace) -> bool:
    """One artifact at one number of threads; prints its line."""
    opened = open_artifact(Verification(folder=folder, samples=1), read_artifact(folder))
    timing = LatencyOptions(seconds=options.seconds, most_seconds=options.most_seconds)
    runs = [measure(opened, threads, timing) for _ in range(options.runs)]
    passed = True
    for index, speedup in enumerate(runs[0].speedups):
        ratios = np.array([run.speedups[index].ratio for run in runs])
        apart = 100 * float(np.max(np.abs(ratios / np.median(ratios) - 1)))
        within = apart <= options.within
        found = ", ".join(
            f"{run.speedups[index].ratio:.3f} ({run.speedups[index].low:.3f}..{run.speedups[index].high:.3f})"
            for run in runs
        )
        details = (
            f"{runs[0].series[0].rounds} rounds, load {os.getloadavg()[0]:.1f}, priority {runs[0].raised_priority}"
        )
        verdict = "PASS" if within else "FAIL"
        print(
            f"{verdict}  {folder}, {threads} threads, {speedup.baseline}: {found}: {apart:.1f} % apart ({details})",
            flush=True,
        )
        passed = passed and within
    return passed


def main() -> int:
    """All artifacts that were named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--threads", type=integer_list, default=(1, 2))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--within", type=float, default=5.0, help="percent")
    parser.add_argument("--seconds", type=float, default=LatencyOptions.seconds)
    parser.add_argument("--most-seconds", type=float, default=LatencyOptions.most_seconds)
    options = parser.parse_args()
    verdicts = [check(folder, threads, options) for folder in options.artifacts for threads in options.threads]
    print(f"{sum(verdicts)} of {len(verdicts)} repeat within {options.within:g} %")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
