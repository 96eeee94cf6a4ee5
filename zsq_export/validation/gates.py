"""Limits on measured figures. A figure that was not measured does not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zsq_export.errors import GateFailedError
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.report_types import GateResult, ValidationReport


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Limits; None: not asked for.

    Attributes:
        min_agreement: smallest agreement with the float model, percent: of the top class, or where no output holds
            class scores, of the values.
        max_accuracy_drop: largest loss of the first metric that was asked for, in its unit; of top-1 accuracy, in
            points, without one.
        min_speedup: smallest speed-up against the fastest float precision of the device, times.
    """

    min_agreement: float | None = None
    max_accuracy_drop: float | None = None
    min_speedup: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """One gate: its limit, its figure (or why there is none), its unit, and which side of the limit is good."""

    name: str
    limit: Callable[[Gates], float | None]
    figure: Callable[[ValidationReport], float | str]
    unit: Callable[[ValidationReport], str]
    at_least: bool


def evaluate_gates(gates: Gates, report: ValidationReport) -> tuple[GateResult, ...]:
    """Holds every limit that was given against its figure."""
    return tuple(_evaluate(rule, limit, report) for rule in _RULES if (limit := rule.limit(gates)) is not None)


def require_gates(results: tuple[GateResult, ...]) -> None:
    """Turns failed gates into the error that sets the exit code.

    Raises:
        GateFailedError: names every gate that failed.
    """
    failed = [result for result in results if not result.passed]
    if failed:
        raise GateFailedError("; ".join(result.reason for result in failed))


def _evaluate(rule: _Rule, limit: float, report: ValidationReport) -> GateResult:
    figure, unit = rule.figure(report), rule.unit(report)
    if isinstance(figure, str):
        reason = f"gate {rule.name} cannot be measured: {figure}"
        return GateResult(name=rule.name, limit=limit, measured=None, unit=unit, passed=False, reason=reason)
    passed = figure >= limit if rule.at_least else figure <= limit
    bound = "at least" if rule.at_least else "at most"
    verdict = "passed" if passed else "failed"
    measured = f"{figure:.2f} {unit}" if unit else f"{figure:.4g}"
    reason = f"gate {rule.name} {verdict}: {measured}, {bound} {limit:g} wanted{_mark(rule, report)}"
    predicted = rule.name == _AGREEMENT and _is_estimated(report)
    return GateResult(
        name=rule.name, limit=limit, measured=figure, unit=unit, passed=passed, reason=reason, predicted=predicted
    )


def _is_estimated(report: ValidationReport) -> bool:
    """Whether the estimate of ``convert`` holds here: not where this device is far from what it was made from."""
    if report.estimate is None or report.agreement is None or report.inputs.origin is not InputOrigin.SYNTHETIC:
        return False
    seen = min((part.agreement for part in report.estimate.parts), default=100.0)
    return report.agreement.percent >= seen - _FAR_OFF


def _mark(rule: _Rule, report: ValidationReport) -> str:
    if rule.name == _AGREEMENT and _is_estimated(report):
        return " (estimated for real data)"
    return "" if rule.name == _SPEEDUP else f" (on {report.inputs.origin.value} inputs)"


def _agreement(report: ValidationReport) -> float | str:
    """On synthetic inputs the estimate counts, if there is one: synthetic margins are smaller than real ones."""
    if report.estimate is not None and _is_estimated(report):
        return report.estimate.percent
    return "the model has no outputs" if report.agreement is None else report.agreement.percent


def _accuracy_drop(report: ValidationReport) -> float | str:
    if report.metrics:
        return report.metrics[0].drop
    if report.accuracy is not None:
        return report.accuracy.drop
    if report.inputs.labelled:
        return "no output holds class scores"
    return "it needs labelled data, give it with --data"


def _drop_unit(report: ValidationReport) -> str:
    unit = report.metrics[0].unit if report.metrics else "%"
    return "points" if unit == "%" else unit


def _speedup(report: ValidationReport) -> float | str:
    return "latency was not measured" if report.latency is None else report.latency.against_best.ratio


_FAR_OFF = 5.0
"""Points that agreement on synthetic inputs may lie below that of ``convert`` on its worst set of them."""
_AGREEMENT, _SPEEDUP = "min-agreement", "min-speedup"
_RULES = (
    _Rule(
        name=_AGREEMENT,
        limit=lambda gates: gates.min_agreement,
        figure=_agreement,
        unit=lambda _: "%",
        at_least=True,
    ),
    _Rule(
        name="max-accuracy-drop",
        limit=lambda gates: gates.max_accuracy_drop,
        figure=_accuracy_drop,
        unit=_drop_unit,
        at_least=False,
    ),
    _Rule(name=_SPEEDUP, limit=lambda gates: gates.min_speedup, figure=_speedup, unit=lambda _: "times", at_least=True),
)
