"""What both models are worth on labelled data: accuracy, and the metrics that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zsq_export.metrics.results import MetricDetail, MetricResult
from zsq_export.reporting import wording
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import Accuracy, InputOrigin


@dataclass(frozen=True, kw_only=True)
class WorthRow:
    """One metric of both models: name, values and difference in words."""

    entry: Entry
    name: str
    float_value: str
    quantized_value: str
    change: str
    worse: bool
    samples: int
    inputs: InputOrigin


def worth_rows(entries: Sequence[Entry]) -> tuple[WorthRow, ...]:
    """Accuracy and metrics, where there are labels."""
    return tuple(row for entry in entries for row in _of_entry(entry))


def _of_entry(entry: Entry) -> Iterator[WorthRow]:
    if entry.report.accuracy is not None:
        yield from _accuracy(entry, entry.report.accuracy)
    for metric in entry.report.metrics:
        yield _metric(entry, metric)
        yield from (_detail(entry, metric, detail) for detail in metric.details)


def _metric(entry: Entry, metric: MetricResult) -> WorthRow:
    error = metric.drop_standard_error
    spread = "" if error is None else f" ± {error:.3g}"
    return WorthRow(
        entry=entry,
        name=metric.name,
        float_value=wording.measured(metric.float_value, metric.unit),
        quantized_value=wording.measured(metric.quantized_value, metric.unit),
        change=f"{wording.change(metric.quantized_value - metric.float_value)}{spread}",
        worse=metric.drop > 2 * (error or 0.0) and metric.drop > 0,
        samples=metric.samples,
        inputs=metric.inputs,
    )


def _detail(entry: Entry, metric: MetricResult, detail: MetricDetail) -> WorthRow:
    before, after = detail.float_value, detail.quantized_value
    return WorthRow(
        entry=entry,
        name=f"{metric.name}: {detail.name}",
        float_value=wording.measured(before, metric.unit),
        quantized_value=wording.measured(after, metric.unit),
        change="" if before is None or after is None else wording.change(after - before),
        worse=False,
        samples=metric.samples,
        inputs=metric.inputs,
    )


def _accuracy(entry: Entry, accuracy: Accuracy) -> list[WorthRow]:
    rows = [
        WorthRow(
            entry=entry,
            name="top-1",
            float_value=wording.percent(accuracy.top1_float),
            quantized_value=wording.percent(accuracy.top1_quantized),
            change=f"{accuracy.change:+.2f} ± {accuracy.drop_standard_error:.2f}",
            worse=accuracy.drop > 2 * accuracy.drop_standard_error and accuracy.drop > 0,
            samples=accuracy.samples,
            inputs=accuracy.inputs,
        )
    ]
    if accuracy.top5_float is not None and accuracy.top5_quantized is not None:
        change = f"{accuracy.top5_quantized - accuracy.top5_float:+.2f}"
        rows.append(
            WorthRow(
                entry=entry,
                name="top-5",
                float_value=wording.percent(accuracy.top5_float),
                quantized_value=wording.percent(accuracy.top5_quantized),
                change=change,
                worse=False,
                samples=accuracy.samples,
                inputs=accuracy.inputs,
            )
        )
    return rows
