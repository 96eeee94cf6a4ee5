"""Latency: times side by side, and the ratio with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.reporting import wording
from zsq_export.reporting.charts.rows import axis, bar, interval
from zsq_export.reporting.charts.scales import Scale, round_scale
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import Latency, LatencySeries, SpeedUp


@dataclass(frozen=True, kw_only=True)
class SpeedRow:
    """One ratio or one time.

    Attributes:
        entry: it belongs to.
        name: of the baseline or of the model.
        value, detail: in words.
        chart: the same as a picture.
        first: of its entry.
        rows: of its entry, for the cell that spans them.
        honest: against the fastest float precision.
    """

    entry: Entry
    name: str
    value: str
    detail: str
    chart: Markup
    first: bool
    rows: int
    honest: bool


@dataclass(frozen=True, kw_only=True)
class SpeedSection:
    """Everything about time; the entries without latency are left out."""

    ratios: tuple[SpeedRow, ...]
    ratio_axis: Markup
    times: tuple[SpeedRow, ...]
    time_axis: Markup
    entries: tuple[Entry, ...]


def speed_section(entries: Sequence[Entry]) -> SpeedSection | None:
    """None where no latency was measured."""
    timed = [(entry, entry.report.latency) for entry in entries if entry.report.latency is not None]
    if not timed:
        return None
    return SpeedSection(
        ratios=_ratios(timed),
        ratio_axis=axis(_ratio_scale(timed), " ×"),
        times=_times(timed),
        time_axis=axis(_time_scale(timed), " ms"),
        entries=tuple(entry for entry, _ in timed),
    )


_Timed = Sequence[tuple[Entry, Latency]]


def _ratio_scale(timed: _Timed) -> Scale:
    return round_scale([up.high for _, latency in timed for up in latency.speedups], include=(0.0, 1.0))


def _time_scale(timed: _Timed) -> Scale:
    return round_scale([series.q75_ms for _, latency in timed for series in latency.series], include=(0.0,))


def _ratios(timed: _Timed) -> tuple[SpeedRow, ...]:
    scale = _ratio_scale(timed)
    return tuple(
        SpeedRow(
            entry=entry,
            name=up.baseline,
            value=f"{up.ratio:.2f} ×",
            detail=f"{up.low:.2f} – {up.high:.2f}",
            chart=interval(_ratio_words(up), up.ratio, up.low, up.high, scale, entry.style, reference=1.0),
            first=index == 0,
            rows=len(latency.speedups),
            honest=up.baseline == latency.best_float,
        )
        for entry, latency in timed
        for index, up in enumerate(sorted(latency.speedups, key=lambda up: up.baseline != latency.best_float))
    )


def _times(timed: _Timed) -> tuple[SpeedRow, ...]:
    scale = _time_scale(timed)
    return tuple(
        SpeedRow(
            entry=entry,
            name=series.label,
            value=wording.milliseconds(series.median_ms),
            detail=wording.span(series.q25_ms, series.q75_ms),
            chart=bar(
                _time_words(series),
                series.median_ms,
                scale,
                entry.style if series.precision is None else "float",
                spread=(series.q25_ms, series.q75_ms),
            ),
            first=index == 0,
            rows=len(latency.series),
            honest=series.label == latency.best_float,
        )
        for entry, latency in timed
        for index, series in enumerate(latency.series)
    )


def _ratio_words(up: SpeedUp) -> str:
    return f"{up.ratio:.2f} times as fast as {up.baseline}, 95 % interval {up.low:.2f} to {up.high:.2f}"


def _time_words(series: LatencySeries) -> str:
    return f"{series.label}: median {wording.milliseconds(series.median_ms)}"
