"""Measures networks x targets x calibrators x seeds against what is needed; prints PASS or FAIL per figure.

    python tools/bench/core_benchmark.py                                  # everything; resumes where it stopped
    python tools/bench/core_benchmark.py -n resnet20_akamaster -c auto -s 0
    python tools/bench/core_benchmark.py --folded                         # BatchNorm folded beforehand, too
    python tools/bench/core_benchmark.py --effort fast -c auto -s 0
    python tools/bench/core_benchmark.py -c nncf                          # what nncf_baseline.py wrote

Needs the evaluation assets (ZSQ_ASSETS). Each result is a JSON file under <work>/cells; delete it to measure again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path

import networks
from cells import NNCF, Cell, Result, measure
from verdicts import judge, markdown

CALIBRATORS = ("auto", "data", "prior", "random")
SEEDED = frozenset({"auto", "bn-inversion", "prior", "random"})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--network", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("-t", "--target", action="append", default=[], help="default: openvino")
    parser.add_argument("-c", "--calibrator", action="append", default=[], help=f"default: {', '.join(CALIBRATORS)}")
    parser.add_argument("-s", "--seed", action="append", type=int, default=[], help="default: 0 1 2")
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--folded", action="store_true", help="also with BatchNorm folded beforehand")
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="results and artifacts")
    return parser.parse_args()


def _cells(options: argparse.Namespace) -> list[Cell]:
    """Every combination that makes sense: real data has no seed, and the baseline one target."""
    cells = []
    for network, target, calibrator, seed, folded in itertools.product(
        networks.named(tuple(options.network)),
        options.target or ["openvino"],
        options.calibrator or CALIBRATORS,
        options.seed or [0, 1, 2],
        [False, True] if options.folded else [False],
    ):
        baseline = calibrator == NNCF and (folded or target != "openvino")
        cell = Cell(
            network=network.name,
            target=target,
            calibrator=calibrator,
            seed=seed if calibrator in SEEDED else 0,
            folded=folded,
            effort=options.effort,
        )
        if cell not in cells and not baseline:
            cells.append(cell)
    return cells


def _measure_all(cells: list[Cell], work: Path) -> tuple[list[Result], list[str]]:
    results, failures = [], []
    for number, cell in enumerate(cells, 1):
        print(f"[{number}/{len(cells)}] {cell.key}", file=sys.stderr, flush=True)
        try:
            result = Result.load(work / "cells", cell) or measure(cell, work)
        except RuntimeError as error:
            failures.append(f"FAIL  {cell.key}: {error}")
            continue
        result.save(work / "cells")
        results.append(result)
    return results, failures


def main() -> int:
    """Measures, prints and saves; 1 if anything needed was missed."""
    options = _arguments()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    results, failures = _measure_all(_cells(options), work)
    verdicts = judge(results)
    print(markdown(results))
    print(*failures, *verdicts, sep="\n")
    (work / "results.md").write_text(markdown(results))
    raw = {"results": [asdict(r) for r in results], "verdicts": [asdict(v) for v in verdicts], "failures": failures}
    (work / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    return 1 if failures or not all(verdict.passed for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
