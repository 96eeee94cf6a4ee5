"""Facts in tables: the artifacts side by side, the key figures of one, sizes, and where everything came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.reporting import wording
from zsq_export.reporting.charts.rows import bar
from zsq_export.reporting.charts.scales import round_scale
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind
from zsq_export.validation.report_types import ValidationReport


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One headline figure.

    Attributes:
        title: what it is.
        value: the figure; a dash where it was not measured.
        detail: spread, n, comparison.
        brief: the same in a few words.
        synthetic: measured on synthetic inputs.
    """

    title: str
    value: str
    detail: str = ""
    brief: str = ""
    synthetic: bool = False


@dataclass(frozen=True, kw_only=True)
class SizeRow:
    """The bytes of one model, as words and as a bar."""

    name: str
    value: str
    detail: str
    chart: Markup


@dataclass(frozen=True, kw_only=True)
class ProvenanceRow:
    """One property and its value for every artifact; one value where all have the same."""

    name: str
    values: tuple[str, ...]

    @property
    def common(self) -> str | None:
        """The value of all, or None where they differ."""
        return self.values[0] if len(set(self.values)) == 1 else None


def facts_of(report: ValidationReport) -> tuple[Fact, ...]:
    """The key figures, in an order that is the same for every artifact."""
    return (_worth(report), _sqnr(report), _speed(report), _time(report), _int8(report), _size(report))


def size_rows(entries: Sequence[Entry]) -> tuple[SizeRow, ...]:
    """The float model and every artifact."""
    report = entries[0].report
    sizes = [("float model", report.float_bytes, "float")]
    sizes += [(entry.label, entry.report.quantized_bytes, entry.style) for entry in entries]
    scale = round_scale([size / 1e6 for _, size, _ in sizes], include=(0.0,))
    return tuple(
        SizeRow(
            name=name,
            value=wording.size(size),
            detail="" if style == "float" or not size else f"{report.float_bytes / size:.1f} × smaller",
            chart=bar(f"{name}: {wording.size(size)}", size / 1e6, scale, style),
        )
        for name, size, style in sizes
    )


def provenance_rows(entries: Sequence[Entry]) -> tuple[ProvenanceRow, ...]:
    """Model, calibration, options and machine."""
    columns = [dict(_provenance(entry.report)) for entry in entries]
    names = dict.fromkeys(name for column in columns for name in column)
    return tuple(ProvenanceRow(name=name, values=tuple(column.get(name, "–") for column in columns)) for name in names)


def _worth(report: ValidationReport) -> Fact:
    if report.metrics:
        metric = report.metrics[0]
        return Fact(
            title=metric.name,
            value=wording.measured(metric.quantized_value, metric.unit),
            detail=f"float {wording.measured(metric.float_value, metric.unit)}, n = {metric.samples}",
            brief=f"float {wording.measured(metric.float_value, metric.unit)}",
            synthetic=metric.inputs is InputOrigin.SYNTHETIC,
        )
    accuracy, agreement = report.accuracy, report.agreement
    if accuracy is not None:
        spread = f"{accuracy.change:+.2f} ± {accuracy.drop_standard_error:.2f} points"
        return Fact(
            title="Top-1 accuracy",
            value=wording.percent(accuracy.top1_quantized),
            detail=f"float {accuracy.top1_float:.2f} %, {spread}, n = {accuracy.samples}",
            brief=f"float {accuracy.top1_float:.2f} %",
            synthetic=accuracy.inputs is InputOrigin.SYNTHETIC,
        )
    if report.estimate is not None and report.inputs.origin is InputOrigin.SYNTHETIC:
        return _predicted(report.estimate)
    if agreement is not None:
        return Fact(
            title="Same class as float" if agreement.kind is AgreementKind.TOP1 else "Same values as float",
            value=wording.percent(agreement.percent),
            detail=f"± {agreement.standard_error:.2f} points, n = {agreement.samples}",
            brief=f"± {agreement.standard_error:.2f}, n = {agreement.samples}",
            synthetic=agreement.inputs is InputOrigin.SYNTHETIC,
        )
    return Fact(title="Accuracy", value="–", detail="no class scores, no metric")


def _predicted(estimate: AgreementEstimate) -> Fact:
    interval = f"{estimate.low:.1f} – {estimate.high:.1f}"
    return Fact(
        title="Predicted agreement",
        value=wording.percent(estimate.percent, 1),
        detail=f"with float on real data, {interval}, {estimate.confidence.value} confidence",
        brief=f"{interval}, {estimate.confidence.value} confidence",
    )


def _sqnr(report: ValidationReport) -> Fact:
    worst = min(report.outputs, key=lambda output: output.sqnr_db, default=None)
    if worst is None:
        return Fact(title="Output SQNR", value="–")
    return Fact(
        title="Output SQNR" if len(report.outputs) == 1 else "Worst output SQNR",
        value=wording.decibels(worst.sqnr_db),
        detail=f"{worst.output}, cosine {worst.cosine:.4f}, n = {worst.samples}",
        brief=f"cosine {worst.cosine:.4f}",
        synthetic=worst.inputs is InputOrigin.SYNTHETIC,
    )


def _speed(report: ValidationReport) -> Fact:
    if report.latency is None:
        return Fact(title="Speed-up", value="–", detail="latency was not measured")
    best = report.latency.against_best
    return Fact(
        title="Speed-up",
        value=f"{best.ratio:.2f} ×",
        detail=f"{best.low:.2f} – {best.high:.2f} (95 %), against {best.baseline}, the best float here",
        brief=f"against {best.baseline}",
    )


def _time(report: ValidationReport) -> Fact:
    if report.latency is None:
        return Fact(title="Latency", value="–", detail="was not measured")
    series = report.latency.series[-1]
    return Fact(
        title="Latency",
        value=wording.milliseconds(series.median_ms),
        detail=f"{wording.span(series.q25_ms, series.q75_ms)} (quartiles), batch {report.latency.batch_size}",
        brief=f"float {wording.milliseconds(min(other.median_ms for other in report.latency.series[:-1]))}",
    )


def _int8(report: ValidationReport) -> Fact:
    return Fact(
        title="Work in int8",
        value=wording.share(report.executed.int8_mac_share),
        detail="of the multiply-accumulates, as the runtime reports them",
    )


def _size(report: ValidationReport) -> Fact:
    factor = report.float_bytes / report.quantized_bytes if report.quantized_bytes else 0
    return Fact(
        title="Size",
        value=wording.size(report.quantized_bytes),
        detail=f"float {wording.size(report.float_bytes)}, {factor:.1f} × smaller",
        brief=f"{factor:.1f} × smaller",
    )


def _provenance(report: ValidationReport) -> tuple[tuple[str, str], ...]:
    environment = report.environment
    return (
        ("target", report.target),
        ("float model", report.model),
        ("its sha256", report.model_sha256),
        ("measured on", report.inputs.description),
        *report.provenance,
        ("runtime", environment.runtime),
        ("device", environment.device),
        ("where", environment.place),
        ("int8 hardware", environment.int8_hardware or "none found"),
        ("logical cores", str(environment.cpu_count)),
        ("platform", environment.platform),
        ("measured with", f"zsq-export {environment.package_version}"),
        *((f"device: {name}", value) for name, value in environment.readings),
    )
