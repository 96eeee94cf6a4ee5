"""Measures the estimate without data on assets model x target x calibrator, fits its coefficients, judges them.

    python tools/bench/estimate_benchmark.py                 # collects what is missing (an hour), then judges
    python tools/bench/estimate_benchmark.py --judge         # judges what is there
    python tools/bench/estimate_benchmark.py --judge --write # and writes zsq_export/estimate/fitted.py
    python tools/bench/estimate_benchmark.py -s 0 -s 3 --fit-on 0    # judges seed 3 by a fit on seed 0

Every model is predicted by coefficients that were fitted on the others. Needs the evaluation assets (ZSQ_ASSETS).
Outputs are kept under <work>, one file per cell; delete it to measure again.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from estimate_cells import CALIBRATORS, FILES, TARGETS, Cell, collect, evidence_of, measured_agreement
from estimate_fit import Row, fit, half_widths, left_out, models_of, nested_intervals
from verdicts import Verdict, at_least

from zsq_export.estimate.model import Fit
from zsq_export.estimate.predictor import doubts, percent
from zsq_export.validation.forecast import AgreementKind

CLOSE = 2.0
BAD = 90.0
FITTED = Path(__file__).resolve().parents[2] / "zsq_export" / "estimate" / "fitted.py"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One cell, and what a fit on the other models says of it (percent)."""

    row: Row
    predicted: float
    low: float
    high: float

    @property
    def close(self) -> bool:
        """Whether the prediction is near enough."""
        return abs(self.predicted - self.row.real) <= CLOSE

    @property
    def inside(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.low <= self.row.real <= self.high

    @property
    def called_bad(self) -> bool:
        """Whether a user is told."""
        return self.predicted < BAD and bool(doubts(self.row.evidence))

    def __str__(self) -> str:
        cell, predicted = self.row.cell, f"{self.predicted:.1f}" + ("" if self.close else " **")
        return (
            f"| {cell.network} | {cell.calibrator} | {cell.target} | {self.row.real:.1f} | {predicted} | "
            f"{self.low:.1f} to {self.high:.1f} | {len(doubts(self.row.evidence))} |"
        )


def judge(rows: Sequence[Row], known: Sequence[Row]) -> tuple[list[Judged], dict[AgreementKind, Fit]]:
    """Every cell, and the fits on all models that are known."""
    found: list[Judged] = []
    fits = {}
    for kind in AgreementKind:
        chosen, source = ([row for row in some if row.evidence.kind is kind] for some in (rows, known))
        if not chosen or not source:
            continue
        judged = [
            Judged(row=row, predicted=percent(row.evidence, value), low=low, high=high)
            for row, value, (low, high) in zip(
                chosen, left_out(chosen, source), nested_intervals(chosen, source), strict=True
            )
        ]
        coverage = float(np.mean([item.inside for item in judged]))
        fits[kind] = replace(fit(source), half_widths=half_widths(source, left_out(source, source)), coverage=coverage)
        found += judged
    return found, fits


def table(judged: Sequence[Judged]) -> Iterator[str]:
    """Every cell, and the share that is close per seed and calibrator."""
    yield "| network | calibrator | target | measured | predicted, model left out | interval | doubts |"
    yield "|---|---|---|---|---|---|---|"
    yield from map(str, judged)
    for seed in sorted({item.row.cell.seed for item in judged}):
        yield f"      seed {seed}: {_share([item for item in judged if item.row.cell.seed == seed])}"
    for name in CALIBRATORS:
        yield f"      {name}: {_share([item for item in judged if item.row.cell.calibrator == name])}"


def _share(judged: Sequence[Judged]) -> str:
    return f"{_percent([item.close for item in judged]):.1f} % of {len(judged)} within {CLOSE:g} points"


def _percent(held: Sequence[bool]) -> float:
    return 100 * float(np.mean(held))


def verdicts(judged: Sequence[Judged]) -> list[Verdict]:
    """Every figure of the bar."""
    broken = [item for item in judged if item.row.cell.calibrator == "random" and item.row.real < BAD]
    close, inside = [item.close for item in judged], [item.inside for item in judged]
    called = [item.called_bad for item in broken] or [True]
    return [
        at_least(f"cells within {CLOSE:g} points, % of {len(judged)}", _percent(close), 80.0),
        at_least(f"cells inside their interval, % of {len(judged)}", _percent(inside), 90.0),
        at_least(
            f"random calibrations below {BAD:g} % that are called bad, % of {len(broken)}", _percent(called), 100.0
        ),
    ]


def write(fits: dict[AgreementKind, Fit], rows: Sequence[Row]) -> None:
    """The module with the coefficients."""
    names = ", ".join(sorted(models_of(rows)))
    text = [
        '"""The coefficients of the predictor. Written by ``tools/bench/estimate_benchmark.py --write``, not by hand.',
        "", f"Fitted on {len(rows)} cells of the evaluation assets: targets {', '.join(TARGETS)}; calibrators",
        f"{', '.join(CALIBRATORS)}; seeds {', '.join(sorted({str(row.cell.seed) for row in rows}))}; models",
        *textwrap.wrap(names + ".", 110), '"""', "", "from __future__ import annotations", "",
        "from zsq_export.estimate.model import Fit", "",
    ]  # fmt: skip
    for name, kind in (("CLASSES", AgreementKind.TOP1), ("VALUES", AgreementKind.VALUES)):
        found = fits[kind]
        knots, values = (", ".join(f"{value:.4f}" for value in line) for line in (found.knots, found.values))
        widths = ", ".join(f"{value:.3f}" for value in found.half_widths)
        text += [f"{name} = Fit(", f"    level={found.level:.4f},", f"    per_radian={found.per_radian:.3f},",
                 f"    knots=({knots}),", f"    values=({values}),", f"    slope={found.slope:.3f},",
                 f"    half_widths=({widths}),",
                 f"    coverage={found.coverage:.2f},", f"    cells={found.cells},",
                 f"    models={found.models},", ")"]  # fmt: skip
    FITTED.write_text("\n".join(text) + "\n")


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    """Of every cell that there is, or can be had."""
    files = [file for file in FILES if not options.network or Path(file).stem in options.network]
    for seed, file, calibrator, target in product(options.seed or [0], files, CALIBRATORS, TARGETS):
        cell = Cell(file=file, calibrator=calibrator, target=target, seed=seed)
        if not options.judge:
            collect(cell, options.work)
            print(f"collected {cell.key}", file=sys.stderr, flush=True)
        if (options.work / f"{cell.key}.npz").exists():
            yield Row(cell=cell, evidence=evidence_of(cell, options.work), real=measured_agreement(cell, options.work))


def main() -> int:
    """1 if anything needed was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--network", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("-s", "--seed", action="append", type=int, default=[], help="default: 0")
    parser.add_argument(
        "--fit-on", action="append", type=int, default=[], help="seeds to fit on; the others are judged"
    )
    parser.add_argument("--judge", action="store_true", help="collect nothing")
    parser.add_argument("--write", action="store_true", help="write the coefficients")
    parser.add_argument("--work", type=Path, default=Path("build/bench/estimate"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = list(_rows(options))
    known = [row for row in rows if row.cell.seed in options.fit_on] or rows
    judged = [row for row in rows if row.cell.seed not in options.fit_on]
    cells, fits = judge(judged, known)
    lines = verdicts(cells)
    print(*table(cells), *lines, sep="\n")
    if options.write:
        write(fits, known)
    return 0 if all(verdict.passed for verdict in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
