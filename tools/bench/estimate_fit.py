"""Coefficients of the estimate without data, fitted on cells; each model is predicted by a fit on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from estimate_cells import Cell
from numpy.typing import NDArray

from zsq_export.estimate.model import Fit, probit, share_of
from zsq_export.estimate.predictor import FAR, Evidence, expected, interval, percent
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
        models=len(models_of(rows)),
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
    for model in models_of(rows):
        trained = fit([row for row in known if row.cell.network != model])
        found |= {row.cell: expected(row.evidence, trained) for row in rows if row.cell.network == model}
    return [found[row.cell] for row in rows]


def half_widths(rows: Sequence[Row], predicted: Sequence[float]) -> tuple[float, float]:
    """Per regime: the residual that ``COVERAGE`` of the cells stay below."""
    residuals = [abs(value - target(row)) for row, value in zip(rows, predicted, strict=True)]
    widths = []
    for far in (False, True):
        within = [(r, row) for r, row in zip(residuals, rows, strict=True) if (row.evidence.angle >= FAR) == far]
        least = OF_FEW if len(models_of([row for _, row in within])) < FEW else NARROWEST
        widths.append(max(least, float(np.quantile([r for r, _ in within], COVERAGE))) if within else 1.0)
    return widths[0], widths[1]


def nested_intervals(rows: Sequence[Row], known: Sequence[Row]) -> list[tuple[float, float]]:
    """Intervals whose widths, too, were set without the model that they are for."""
    predicted = dict(zip([row.cell for row in rows], left_out(rows, known), strict=True))
    found = {}
    for model in models_of(rows):
        others = [row for row in known if row.cell.network != model]
        widths = half_widths(others, left_out(others, others) if len(models_of(others)) > 1 else [0.0] * len(others))
        for row in rows:
            if row.cell.network == model:
                found[row.cell] = interval(row.evidence, predicted[row.cell], widths)
    return [found[row.cell] for row in rows]


def models_of(rows: Sequence[Row]) -> set[str]:
    """Names of the networks."""
    return {row.cell.network for row in rows}
