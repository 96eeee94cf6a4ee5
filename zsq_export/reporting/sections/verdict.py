"""What to think of it, in one line per artifact: the first thing on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from zsq_export.reporting import wording
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.forecast import AgreementKind
from zsq_export.validation.report_types import Finding, Severity, ValidationReport


class Outcome(StrEnum):
    """How an artifact came off."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    CLEAR = "clear"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One artifact in a line.

    Attributes:
        outcome: of gates, or of findings where there are no gates.
        title: the outcome in words.
        sentence: the figures behind it.
    """

    outcome: Outcome
    title: str
    sentence: str


def verdict_of(report: ValidationReport) -> Verdict:
    """Gates decide; without gates the warnings do."""
    outcome, title = _outcome(report)
    parts = [part for part in (_speed(report), _worth(report), _size(report)) if part]
    return Verdict(outcome=outcome, title=title, sentence="; ".join(parts) + "." if parts else "")


def headline(entries: Sequence[Entry]) -> str:
    """The page in one sentence."""
    verdicts = [verdict_of(entry.report) for entry in entries]
    if len(entries) == 1 and verdicts[0].outcome is not Outcome.CLEAR:
        return verdicts[0].title
    judged = [verdict for verdict in verdicts if verdict.outcome in (Outcome.PASSED, Outcome.FAILED)]
    if judged:
        passed = sum(verdict.outcome is Outcome.PASSED for verdict in judged)
        return f"{passed} of {len(judged)} targets {'pass' if passed != 1 else 'passes'} every gate"
    warned = sum(verdict.outcome is Outcome.WARNED for verdict in verdicts)
    found = f"{warned} with a warning" if warned else "nothing to warn about"
    return f"{_count(len(entries), 'target')} measured, {found}"


def highlights(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Which artifact is best at what; nothing where there is only one."""
    if len(entries) < 2:
        return ()
    timed = [(entry.report.latency.series[-1].median_ms, entry) for entry in entries if entry.report.latency]
    close = [(min(out.sqnr_db for out in entry.report.outputs), entry) for entry in entries if entry.report.outputs]
    found = []
    if timed:
        time, entry = min(timed, key=lambda pair: pair[0])
        found.append(f"Fastest: {entry.label}, {wording.milliseconds(time)}")
    if close:
        decibels, entry = max(close, key=lambda pair: pair[0])
        found.append(f"Closest to float: {entry.label}, {wording.decibels(decibels)}")
    size, entry = min(((entry.report.quantized_bytes, entry) for entry in entries), key=lambda pair: pair[0])
    return (*found, f"Smallest: {entry.label}, {wording.size(size)}")


def shared_findings(entries: Sequence[Entry]) -> tuple[tuple[Finding, tuple[Entry, ...]], ...]:
    """Every finding once, with the artifacts that it is about; warnings first, then what is true of many."""
    found: dict[Finding, list[Entry]] = {}
    for entry in entries:
        for finding in entry.report.findings:
            found.setdefault(finding, []).append(entry)
    order = (Severity.WARNING, Severity.NOTE, Severity.GOOD)
    ranked = sorted(found.items(), key=lambda item: (order.index(item[0].severity), -len(item[1])))
    return tuple((finding, tuple(group)) for finding, group in ranked)


def _outcome(report: ValidationReport) -> tuple[Outcome, str]:
    gates = len(report.gates)
    failed = sum(not gate.passed for gate in report.gates)
    warnings = sum(finding.severity is Severity.WARNING for finding in report.findings)
    if failed:
        return Outcome.FAILED, f"Fails {failed} of {_count(gates, 'gate')}"
    if gates:
        return Outcome.PASSED, f"Passes {'its gate' if gates == 1 else f'all {gates} gates'}"
    if warnings:
        return Outcome.WARNED, _count(warnings, "warning")
    return Outcome.CLEAR, "No warnings"


def _speed(report: ValidationReport) -> str:
    if report.latency is None:
        return ""
    best = report.latency.against_best
    interval = f"95 % interval {best.low:.2f} to {best.high:.2f}"
    if best.low <= 1 <= best.high:
        return f"not measurably faster or slower than {best.baseline} ({interval})"
    return f"{best.ratio:.2f} times as fast as {best.baseline} ({interval})"


def _worth(report: ValidationReport) -> str:
    if report.metrics:
        metric = report.metrics[0]
        values = f"{wording.measured(metric.float_value, metric.unit)} → "
        return f"{metric.name} {values}{wording.measured(metric.quantized_value, metric.unit)}"
    if report.accuracy is not None:
        return f"top-1 {report.accuracy.top1_float:.1f} → {report.accuracy.top1_quantized:.1f} %"
    agreement, estimate = report.agreement, report.estimate
    if estimate is not None and report.inputs.origin is InputOrigin.SYNTHETIC:
        interval = f"{estimate.low:.1f} to {estimate.high:.1f}, {estimate.confidence.value} confidence"
        return f"predicted to agree with the float model on {estimate.percent:.1f} % of real data ({interval})"
    if agreement is not None:
        kind = "synthetic" if agreement.inputs is InputOrigin.SYNTHETIC else "real"
        what = "names the float model's class on" if agreement.kind is AgreementKind.TOP1 else "agrees in"
        of = "" if agreement.kind is AgreementKind.TOP1 else "the values of "
        return f"{what} {agreement.percent:.1f} % of {of}{agreement.samples} {kind} inputs"
    worst = min((output.sqnr_db for output in report.outputs), default=None)
    return "" if worst is None else f"output SQNR {wording.decibels(worst)}"


def _size(report: ValidationReport) -> str:
    if not report.quantized_bytes:
        return ""
    return f"{report.float_bytes / report.quantized_bytes:.1f} times smaller"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
