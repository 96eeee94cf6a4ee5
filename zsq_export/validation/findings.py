"""What a person should know of a report, in plain sentences."""

from __future__ import annotations

from zsq_export.device.machine import Reading, is_throttled
from zsq_export.validation.comparison import SQNR_LIMIT_DB
from zsq_export.validation.executed import INT8_NAMES
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.forecast import AgreementKind
from zsq_export.validation.report_types import Finding, Severity, ValidationReport

_ORDER = (Severity.WARNING, Severity.NOTE, Severity.GOOD)
_ALMOST_ALL = 0.95
_HIGH_AGREEMENT = 98.0
_LOW_SQNR_DB = 15.0
_LOW_LOWERING_SQNR_DB = 20.0
_TIMES_A_GUESS = 3.0
_HARDLY_RIGHT = 10.0
"""Float accuracy (percent) below this, or below so many times a blind guess, points at the data, not the model."""


def find(report: ValidationReport) -> tuple[Finding, ...]:
    """All findings, warnings first."""
    found = [finding for rule in _RULES if (finding := rule(report)) is not None]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def _broken(report: ValidationReport) -> Finding | None:
    broken = [output.output for output in report.outputs if output.sqnr_db <= -SQNR_LIMIT_DB]
    if not broken:
        return None
    return _warning(f"Output {broken[0]} holds NaN or infinity, or differs from an all-zero reference.")


def _float_is_wrong(report: ValidationReport) -> Finding | None:
    accuracy = report.accuracy
    if accuracy is None:
        return None
    shape = next(output.shape for output in report.outputs if output.output == accuracy.output)
    if accuracy.top1_float >= max(_HARDLY_RIGHT, _TIMES_A_GUESS * 100 / max(shape)):
        return None
    return _warning(
        f"The float model itself is right on only {accuracy.top1_float:.1f} % of the data: check the preprocessing and "
        "the order of the classes."
    )


def _speed(report: ValidationReport) -> Finding | None:
    if report.latency is None:
        return None
    speedup = report.latency.against_best
    interval = f"{speedup.ratio:.2f} × its speed, 95 % interval {speedup.low:.2f} to {speedup.high:.2f}"
    if speedup.high < 1:
        return _warning(
            f"int8 is slower than {speedup.baseline} on this device ({interval}): the float model wins here."
        )
    if speedup.low <= 1:
        return _note(f"int8 is not measurably faster than {speedup.baseline} on this device ({interval}).")
    return Finding(severity=Severity.GOOD, text=f"int8 is faster than {speedup.baseline} on this device ({interval}).")


def _throttled(report: ValidationReport) -> Finding | None:
    readings = [Reading(name=name, value=value) for name, value in report.environment.readings]
    if report.latency is None or not is_throttled(readings):
        return None
    return _warning("The processor was throttled while it was measured: cool it, and measure again.")


def _accuracy(report: ValidationReport) -> Finding | None:
    accuracy = report.accuracy
    if accuracy is None:
        return None
    change = f"{accuracy.top1_float:.2f} → {accuracy.top1_quantized:.2f} %"
    spread = f"difference {accuracy.change:+.2f} ± {accuracy.drop_standard_error:.2f} points, n = {accuracy.samples}"
    if accuracy.drop > 2 * accuracy.drop_standard_error and accuracy.drop > 0:
        return (_warning if accuracy.drop > 1 else _note)(f"Top-1 accuracy falls: {change} ({spread}).")
    return Finding(severity=Severity.GOOD, text=f"No measurable loss of top-1 accuracy: {change} ({spread}).")


def _metric(report: ValidationReport) -> Finding | None:
    if not report.metrics:
        return None
    metric = report.metrics[0]
    error = metric.drop_standard_error
    values = f"{metric.float_value:.4g} → {metric.quantized_value:.4g} {metric.unit}".rstrip()
    spread = f"n = {metric.samples}" if error is None else f"± {error:.2g}, n = {metric.samples}"
    if metric.drop > 2 * (error or 0.0) and metric.drop > 0:
        return _note(f"{metric.name} gets worse: {values} ({spread}).")
    return Finding(severity=Severity.GOOD, text=f"No measurable loss of {metric.name}: {values} ({spread}).")


def _clipped(report: ValidationReport) -> Finding | None:
    for output in report.outputs:
        agreement = output.agreement
        if agreement is None or agreement.kind is not AgreementKind.TOP1:
            continue
        if agreement.percent >= _HIGH_AGREEMENT and output.sqnr_db < _LOW_SQNR_DB:
            return _warning(
                f"Output {output.output} agrees on the class in {agreement.percent:.1f} % but its SQNR is only "
                f"{output.sqnr_db:.1f} dB: its range is probably clipped, so do not rely on the scores themselves."
            )
    return None


def _lowering(report: ValidationReport) -> Finding | None:
    worst = min(report.lowering, key=lambda output: output.sqnr_db, default=None)
    if worst is None or worst.sqnr_db >= _LOW_LOWERING_SQNR_DB:
        return None
    return _warning(
        f"On the device, output {worst.output} is only {worst.sqnr_db:.1f} dB close to the planned QDQ model: the "
        "runtime computes something else than the plan says."
    )


def _executed(report: ValidationReport) -> Finding | None:
    share = report.executed.int8_mac_share
    if share is None:
        return _note("The runtime does not say in which precision the multiplications ran.")
    if share >= _ALMOST_ALL:
        return Finding(severity=Severity.GOOD, text=f"{100 * share:.1f} % of the multiply-accumulates ran in int8.")
    rest = [op for op in report.executed.ops if op.macs and op.precision.lower() not in INT8_NAMES]
    largest = max(rest, key=lambda op: op.macs)
    return _warning(
        f"Only {100 * share:.1f} % of the multiply-accumulates ran in int8; the largest op that did not is "
        f"{largest.name} ({largest.op_type}, {largest.precision})."
    )


def _synthetic(report: ValidationReport) -> Finding | None:
    if report.inputs.origin is InputOrigin.REAL:
        return None
    return _note(
        "Measured on synthetic inputs that calibration did not see: this shows how faithful the quantized model is, "
        "not how accurate either model is on real data."
    )


def _warning(text: str) -> Finding:
    return Finding(severity=Severity.WARNING, text=text)


def _note(text: str) -> Finding:
    return Finding(severity=Severity.NOTE, text=text)


_RULES = (_broken, _float_is_wrong, _speed, _throttled, _metric, _accuracy, _clipped, _lowering, _executed, _synthetic)
