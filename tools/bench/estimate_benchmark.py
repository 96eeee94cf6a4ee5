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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from estimate_cells import CALIBRATORS, FILES, TARGETS, Cell, collect, evidence_of, measured_agreement
from numpy.typing import NDArray
from verdicts import Verdict, at_least

from zsq_export.estimate.model import Fit, probit, share_of
from zsq_export.estimate.predictor import FAR, Evidence, doubts, expected, interval, percent
from zsq_export.validation.forecast import AgreementKind

KNOTS = (probit(0.0), -0.8, 0.5)
NONE_LEFT = -2.33
"""Probit to be expected where nothing is seen beyond chance: what is known without measuring, with so much weight:"""
WEIGHT_OF_NONE = 20.0
RIDGE = 1e-3
HUBER = 0.5
"""Residuals above this count less."""
LEVELS = np.arange(90.0, 99.95, 0.05)
"""Percent; what is tried for models that follow the float one."""
INSENSITIVE = 1.5
"""Points by which the level may be wrong for nothing, as in Vapnik's support vector regression: it is to lie in the
middle of what such models have, near as many as can be, and not where most crowd."""
COVERAGE = 0.95
"""Wanted of the widths, so that 90 % is left on models that were not seen."""
NARROWEST = 0.15
FEW, OF_FEW = 3, 0.5
"""What fewer networks than this say of a regime makes its width no smaller than that: residuals of one network are
alike."""
CLOSE = 2.0
BAD = 90.0
FITTED = Path(__file__).resolve().parents[2] / "zsq_export" / "estimate" / "fitted.py"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell: what was seen on synthetic inputs, and what came of it on real data (percent)."""

    cell: Cell
    evidence: Evidence
    real: float


def fit(rows: Sequence[Row]) -> Fit:
    """By least squares that outliers do not drag; widths are set later. Outputs without classes need none of it."""
    used = [row for row in rows if row.evidence.kind is AgreementKind.TOP1]
    near = [row for row in used if row.evidence.angle < FAR]
    flips = [(1 - share_of(target(row))) / row.evidence.angle for row in near]
    *values, slope = _line([row for row in used if row.evidence.angle >= FAR])
    return Fit(
        level=_level(near),
        per_radian=float(np.median(flips)) if flips else 0.0,
        knots=KNOTS,
        values=tuple(values),
        slope=slope,
        half_widths=(1.0, 1.0),
        coverage=0.0,
        cells=len(rows),
        models=len(_models(rows)),
    )


def _level(near: Sequence[Row]) -> float:
    """Probit of the share beyond chance with the smallest mean error, as far as errors count."""
    if not near:
        return 0.0
    real = np.array([row.real for row in near])
    losses = []
    for level in LEVELS:
        found = np.array([percent(row.evidence, probit(level / 100)) for row in near])
        losses.append(np.maximum(0.0, np.abs(found - real) - INSENSITIVE).mean())
    best = LEVELS[np.array(losses) <= min(losses) + 1e-9]
    return probit(float(np.median(best)) / 100)


def target(row: Row) -> float:
    """Probit of the measured share beyond chance."""
    chance = row.evidence.chance
    return probit((row.real / 100 - chance) / (1 - chance))


def _line(rows: Sequence[Row]) -> tuple[float, ...]:
    """Values at the knots, and the slope."""
    seen = [probit(row.evidence.seen) for row in rows] + [KNOTS[0]]
    angles = np.array([row.evidence.angle - 1 for row in rows] + [0.0])
    hats = [np.interp(seen, KNOTS, corner) for corner in np.eye(len(KNOTS))]
    wanted = [*(target(row) for row in rows), NONE_LEFT]
    return _robust(np.column_stack([*hats, -angles]), wanted, [1.0] * len(rows) + [WEIGHT_OF_NONE])


def _robust(
    design: NDArray[np.float64], wanted: Sequence[float], fixed: Sequence[float] | None = None
) -> tuple[float, ...]:
    """Coefficients with the smallest Huber loss, a touch of ridge."""
    values, given = np.array(wanted), np.ones(len(wanted)) if fixed is None else np.array(fixed)
    weights = given
    for _ in range(30):
        normal = design.T @ (weights[:, None] * design) + RIDGE * np.eye(design.shape[1])
        found = np.linalg.solve(normal, design.T @ (weights * values))
        weights = given * np.minimum(1, HUBER / np.maximum(np.abs(design @ found - values), 1e-9))
    return tuple(float(value) for value in found)


def left_out(rows: Sequence[Row], known: Sequence[Row]) -> list[float]:
    """Probits predicted for each row by a fit on what is known of the other models."""
    found = {}
    for model in _models(rows):
        trained = fit([row for row in known if row.cell.network != model])
        found |= {row.cell: expected(row.evidence, trained) for row in rows if row.cell.network == model}
    return [found[row.cell] for row in rows]


def half_widths(rows: Sequence[Row], predicted: Sequence[float]) -> tuple[float, float]:
    """Per regime: the residual that ``COVERAGE`` of the cells stay below."""
    residuals = [abs(value - target(row)) for row, value in zip(rows, predicted, strict=True)]
    widths = []
    for far in (False, True):
        within = [(r, row) for r, row in zip(residuals, rows, strict=True) if (row.evidence.angle >= FAR) == far]
        least = OF_FEW if len(_models([row for _, row in within])) < FEW else NARROWEST
        widths.append(max(least, float(np.quantile([r for r, _ in within], COVERAGE))) if within else 1.0)
    return widths[0], widths[1]


def nested_intervals(rows: Sequence[Row], known: Sequence[Row]) -> list[tuple[float, float]]:
    """Intervals whose widths, too, were set without the model that they are for."""
    predicted = dict(zip([row.cell for row in rows], left_out(rows, known), strict=True))
    found = {}
    for model in _models(rows):
        others = [row for row in known if row.cell.network != model]
        widths = half_widths(others, left_out(others, others) if len(_models(others)) > 1 else [0.0] * len(others))
        for row in rows:
            if row.cell.network == model:
                found[row.cell] = interval(row.evidence, predicted[row.cell], widths)
    return [found[row.cell] for row in rows]


def judge(rows: Sequence[Row], known: Sequence[Row]) -> tuple[list[Verdict], dict[AgreementKind, Fit]]:
    """Every figure of the bar, and the fits on all models that are known."""
    lines, fits = [], {}
    for kind in AgreementKind:
        chosen, source = ([row for row in some if row.evidence.kind is kind] for some in (rows, known))
        if not chosen or not source:
            continue
        predicted = left_out(chosen, source)
        intervals = nested_intervals(chosen, source)
        inside = [low <= row.real <= high for row, (low, high) in zip(chosen, intervals, strict=True)]
        widths = half_widths(source, left_out(source, source))
        fits[kind] = replace(fit(source), half_widths=widths, coverage=float(np.mean(inside)))
        lines += [
            (row, percent(row.evidence, value), bounds)
            for row, value, bounds in zip(chosen, predicted, intervals, strict=True)
        ]
    print("| network | calibrator | target | measured | predicted, model left out | interval | doubts |")
    print("|---|---|---|---|---|---|---|")
    for row, value, (low, high) in lines:
        cell = row.cell
        mark = "" if abs(value - row.real) <= CLOSE else " **"
        print(f"| {cell.network} | {cell.calibrator} | {cell.target} | {row.real:.1f} | {value:.1f}{mark} | "
              f"{low:.1f} to {high:.1f} | {len(doubts(row.evidence))} |")  # fmt: skip
    for seed in sorted({row.cell.seed for row in rows}):
        print(f"      seed {seed}: {_percent([abs(v - r.real) <= CLOSE for r, v, _ in lines if r.cell.seed == seed])}")
    for name in CALIBRATORS:
        print(f"      {name}: {_percent([abs(v - r.real) <= CLOSE for r, v, _ in lines if r.cell.calibrator == name])}")
    close = [abs(value - row.real) <= CLOSE for row, value, _ in lines]
    held = [low <= row.real <= high for row, _, (low, high) in lines]
    broken = [(row, value) for row, value, _ in lines if row.cell.calibrator == "random" and row.real < BAD]
    called = [value < BAD and bool(doubts(row.evidence)) for row, value in broken]
    return [
        at_least(f"cells within {CLOSE:g} points, % of {len(close)}", 100 * float(np.mean(close)), 80.0),
        at_least(f"cells inside their interval, % of {len(held)}", 100 * float(np.mean(held)), 90.0),
        at_least(f"random calibrations below {BAD:g} % that are called bad, % of {len(called)}",
                 100 * float(np.mean(called)) if called else 100.0, 100.0),
    ], fits  # fmt: skip


def _percent(held: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(held)):.1f} % of {len(held)} within {CLOSE:g} points"


def write(fits: dict[AgreementKind, Fit], rows: Sequence[Row]) -> None:
    """The module with the coefficients."""
    names = ", ".join(sorted(_models(rows)))
    text = [
        '"""The coefficients of the predictor. Written by ``tools/bench/estimate_benchmark.py --write``, not by hand.',
        "", f"Fitted on {len(rows)} cells of the evaluation assets: targets {', '.join(TARGETS)}; calibrators",
        f"{', '.join(CALIBRATORS)}; seeds {', '.join(sorted({str(row.cell.seed) for row in rows}))}; models",
        *_wrapped(names), '"""', "", "from __future__ import annotations", "",
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


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text + ".", 110)


def _models(rows: Sequence[Row]) -> set[str]:
    return {row.cell.network for row in rows}


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
    rows = []
    for seed in options.seed or [0]:
        for file in FILES:
            if options.network and Path(file).stem not in options.network:
                continue
            for calibrator in CALIBRATORS:
                for target in TARGETS:
                    cell = Cell(file=file, calibrator=calibrator, target=target, seed=seed)
                    if not options.judge:
                        collect(cell, options.work)
                        print(f"collected {cell.key}", file=sys.stderr, flush=True)
                    if (options.work / f"{cell.key}.npz").exists():
                        evidence = evidence_of(cell, options.work)
                        rows.append(Row(cell=cell, evidence=evidence, real=measured_agreement(cell, options.work)))
    known = [row for row in rows if row.cell.seed in options.fit_on] or rows
    judged = [row for row in rows if row.cell.seed not in options.fit_on]
    verdicts, fits = judge(judged, known)
    for verdict in verdicts:
        print(verdict)
    if options.write:
        write(fits, known)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
