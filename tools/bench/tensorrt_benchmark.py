"""Builds every network of the assets with TensorRT for RTX and prints PASS or FAIL per line of what is needed.

    python tools/bench/tensorrt_benchmark.py                     # everything, about half an hour on two cores
    python tools/bench/tensorrt_benchmark.py --only engines      # sizes and precisions; needs no accuracy runs
    python tools/bench/tensorrt_benchmark.py --only rules
    python tools/bench/tensorrt_benchmark.py --only accuracy -s 0

Needs the evaluation assets (ZSQ_ASSETS) and the extra tensorrt-rtx; no GPU. Calibrations are kept under <work>.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tensorrt_accuracy import measure_accuracy
from tensorrt_engines import engine_table, judge_engines, measure_engines
from tensorrt_rules import measure_rules
from verdicts import Verdict


def main() -> int:
    """Measures, prints and saves; 1 if anything needed was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("engines", "rules", "accuracy"), help="one part instead of all")
    parser.add_argument("-n", "--network", action="append", default=[], help="of the accuracy part; repeatable")
    parser.add_argument("-s", "--seed", action="append", type=int, default=[], help="default: 0 1 2")
    parser.add_argument("--work", type=Path, default=Path("build/tensorrt"), help="calibrations and artifacts")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    verdicts: list[Verdict] = []
    failures: list[str] = []
    if options.only in (None, "engines"):
        engines, failures = measure_engines(work)
        verdicts += judge_engines(engines)
        print(engine_table(engines))
    if options.only in (None, "rules"):
        verdicts += measure_rules(work)
    if options.only in (None, "accuracy"):
        found, table = measure_accuracy(work, options.seed or [0, 1, 2], tuple(options.network))
        verdicts += found
        print(table)
    print(*failures, *verdicts, sep="\n")
    return 1 if failures or not all(verdict.passed for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
