"""The report as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zsq_export.reporting.wording import (
    change,
    decibels,
    measured,
    milliseconds,
    origin_mark,
    percent,
    share,
    size,
)
from zsq_export.validation.figures import Latency, OutputFidelity
from zsq_export.validation.forecast import AgreementKind
from zsq_export.validation.report_types import Severity, ValidationReport

_STYLES = {Severity.WARNING: "bold yellow", Severity.NOTE: "cyan", Severity.GOOD: "green"}
_MARKS = {Severity.WARNING: "!", Severity.NOTE: "i", Severity.GOOD: "✓"}


def print_report(report: ValidationReport, console: Console, *, worst: int = 5) -> None:
    """Prints the report.

    Args:
        report: to print.
        console: usually on stderr; stdout belongs to ``--json``.
        worst: how many of the worst layers to show.
    """
    console.print(f"[bold]{escape(report.model)}[/] on [bold]{escape(report.target)}[/]", highlight=False)
    console.print(f"{escape(_where(report))}\nmeasured on {escape(_inputs(report))}\n", style="dim", highlight=False)
    _print_table(console, *_summary(report))
    if report.latency is not None:
        _print_table(console, *_latency(report.latency))
    if report.layers is not None and report.layers.layers:
        _print_table(console, *_layers(report, worst))
    if report.gates:
        _print_table(console, *_gates(report))
    for finding in report.findings:
        mark = f"[{_STYLES[finding.severity]}]{_MARKS[finding.severity]}[/]"
        console.print(f" {mark} {escape(finding.text)}", highlight=False)


def _where(report: ValidationReport) -> str:
    environment = report.environment
    parts = (environment.runtime, environment.device, environment.int8_hardware, environment.platform)
    return ", ".join(part for part in parts if part)


def _inputs(report: ValidationReport) -> str:
    return f"{report.inputs.description} ({report.inputs.origin.value})"


_Rows = Iterable[Sequence[str]]
_Content = tuple[str, Sequence[str], _Rows]


def _print_table(console: Console, title: str, columns: Sequence[str], rows: _Rows) -> None:
    """First column left, the others right; the title is a line of its own, which a narrow table does not wrap."""
    table = Table(header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(table)


def _summary(report: ValidationReport) -> _Content:
    rows = [*_metric_rows(report), *_accuracy_rows(report)]
    for output in report.outputs:
        rows += _output_rows(output)
    if report.estimate is not None:
        expected = f"{report.estimate.percent:.1f} % ({report.estimate.low:.1f} to {report.estimate.high:.1f})"
        rows.append(("agreement to be expected", expected, "", "predicted"))
    rows.append(("multiply-accumulates in int8", share(report.executed.int8_mac_share), "", ""))
    rows.append(("size", f"{size(report.float_bytes)} → {size(report.quantized_bytes)}", "", ""))
    return ("Quantized against float", ("figure", "value", "n", "inputs"), rows)


def _metric_rows(report: ValidationReport) -> list[tuple[str, str, str, str]]:
    rows = []
    for metric in report.metrics:
        tail = (str(metric.samples), origin_mark(metric.inputs))
        error = "" if metric.drop_standard_error is None else f" ± {metric.drop_standard_error:.3g}"
        values = f"{measured(metric.float_value, '')} → {measured(metric.quantized_value, metric.unit)}"
        rows.append((f"{metric.name} float → int8", values, *tail))
        rows.append((f"{metric.name} difference", change(metric.quantized_value - metric.float_value) + error, *tail))
    return rows


def _accuracy_rows(report: ValidationReport) -> list[tuple[str, str, str, str]]:
    accuracy = report.accuracy
    if accuracy is None:
        return []
    tail = (str(accuracy.samples), origin_mark(accuracy.inputs))
    difference = f"{accuracy.change:+.2f} ± {accuracy.drop_standard_error:.2f} points"
    rows = [
        ("top-1 float → int8", f"{accuracy.top1_float:.2f} → {percent(accuracy.top1_quantized)}", *tail),
        ("top-1 difference", difference, *tail),
    ]
    if accuracy.top5_float is not None:
        rows.append(("top-5 float → int8", f"{accuracy.top5_float:.2f} → {percent(accuracy.top5_quantized)}", *tail))
    return rows


def _output_rows(output: OutputFidelity) -> list[tuple[str, str, str, str]]:
    tail = (str(output.samples), origin_mark(output.inputs))
    rows = []
    if output.agreement is not None:
        agreement = f"{output.agreement.percent:.2f} ± {output.agreement.standard_error:.2f} %"
        what = "top-1 agreement" if output.agreement.kind is AgreementKind.TOP1 else "values that agree"
        rows.append((f"{what}, {output.output}", agreement, *tail))
    rows.append((f"SQNR, {output.output}", decibels(output.sqnr_db), *tail))
    rows.append((f"cosine similarity, {output.output}", f"{output.cosine:.5f}", *tail))
    return rows


def _latency(latency: Latency) -> _Content:
    speedups = {entry.baseline: entry for entry in latency.speedups}
    rows = []
    for series in latency.series:
        entry = speedups.get(series.label)
        ratio = f"{entry.ratio:.2f} × ({entry.low:.2f}–{entry.high:.2f})" if entry else ""
        spread = f"{milliseconds(series.q25_ms)} – {milliseconds(series.q75_ms)}"
        rows.append((series.label, milliseconds(series.median_ms), spread, str(series.rounds), ratio))
    threads = "the runtime's own number of threads" if latency.threads is None else f"{latency.threads} threads"
    title = f"Latency, batch {latency.batch_size}, {threads}, {origin_mark(latency.inputs)} inputs"
    return (title, ("model", "median", "quartiles", "rounds", "int8 speed-up (95 %)"), rows)


def _layers(report: ValidationReport, worst: int) -> _Content:
    assert report.layers is not None
    rows = [(layer.node, layer.op_type, decibels(layer.sqnr_db)) for layer in report.layers.layers[:worst]]
    mark = origin_mark(report.layers.inputs)
    title = f"Worst layers, n = {report.layers.samples}, {mark}, of {len(report.layers.layers)}"
    return (title, ("node", "op", "SQNR"), rows)


def _gates(report: ValidationReport) -> _Content:
    rows = [
        (
            gate.name,
            f"{gate.limit:g} {gate.unit}",
            "–" if gate.measured is None else f"{gate.measured:.2f} {gate.unit}" + " (predicted)" * gate.predicted,
            "passed" if gate.passed else "FAILED",
        )
        for gate in report.gates
    ]
    return ("Gates", ("gate", "limit", "figure", "result"), rows)
