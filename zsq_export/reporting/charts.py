"""Geometry of the page's pictures: figures in, coordinates out. The template draws them as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zsq_export.validation.figures import ExecutedPrecisions, Latency, LayerReport

WIDTH = 720.0
"""Of every picture, in its own units; the page scales it."""
_LABEL_WIDTH, _VALUE_WIDTH = 96.0, 130.0
_ROW = 38.0
_PLOT_LEFT, _PLOT_TOP, _PLOT_HEIGHT, _PLOT_BOTTOM = 44.0, 12.0, 180.0, 26.0
_FULL_SCALE_DB = 60.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One latency bar.

    Attributes:
        label: of the series.
        y: top of the row.
        x, width: of the bar, from zero to the median.
        low, high: ends of the quartile whisker.
        median_ms: for the text beside it.
        quantized: the int8 series.
    """

    label: str
    y: float
    x: float
    width: float
    low: float
    high: float
    median_ms: float
    quantized: bool


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Horizontal bars; ``height`` and ``axis_x`` in units of ``WIDTH``."""

    height: float
    axis_x: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One layer: its place in the picture, and what to say of it."""

    x: float
    y: float
    node: str
    op_type: str
    sqnr_db: float
    is_worst: bool


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A labelled grid line."""

    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """SQNR along the network.

    Attributes:
        height: of the picture.
        left, right, bottom: of the plot area.
        points: in execution order.
        path: SVG path through the points.
        ticks: grid lines.
    """

    height: float
    left: float
    right: float
    bottom: float
    points: tuple[Point, ...]
    path: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Part of the stacked precision bar; ``rank`` picks the colour."""

    x: float
    width: float
    precision: str
    share: float
    rank: int


def latency_chart(latency: Latency) -> BarChart:
    """Bars from zero to the median, with the quartiles as whiskers."""
    room = WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    scale = room / max(series.q75_ms for series in latency.series)
    bars = [
        Bar(
            label=series.label,
            y=index * _ROW,
            x=_LABEL_WIDTH,
            width=max(1.0, series.median_ms * scale),
            low=_LABEL_WIDTH + series.q25_ms * scale,
            high=_LABEL_WIDTH + series.q75_ms * scale,
            median_ms=series.median_ms,
            quantized=series.precision is None,
        )
        for index, series in enumerate(latency.series)
    ]
    return BarChart(height=len(bars) * _ROW, axis_x=_LABEL_WIDTH, bars=tuple(bars))


def layer_chart(report: LayerReport, *, worst: int = 3) -> LineChart | None:
    """SQNR of every layer in execution order; None for a network without layers.

    Args:
        report: layers, worst first.
        worst: how many of them to mark.
    """
    if not report.layers:
        return None
    marked = {layer.tensor for layer in report.layers[:worst]}
    ordered = sorted(report.layers, key=lambda layer: layer.position)
    low, high = _scale([layer.sqnr_db for layer in ordered])
    right = WIDTH - 8
    step = (right - _PLOT_LEFT) / max(1, len(ordered) - 1)
    points = tuple(
        Point(
            x=_PLOT_LEFT + index * step,
            y=_height(layer.sqnr_db, low, high),
            node=layer.node,
            op_type=layer.op_type,
            sqnr_db=layer.sqnr_db,
            is_worst=layer.tensor in marked,
        )
        for index, layer in enumerate(ordered)
    )
    return LineChart(
        height=_PLOT_TOP + _PLOT_HEIGHT + _PLOT_BOTTOM,
        left=_PLOT_LEFT,
        right=right,
        bottom=_PLOT_TOP + _PLOT_HEIGHT,
        points=points,
        path="M" + " L".join(f"{point.x:.1f} {point.y:.1f}" for point in points),
        ticks=_ticks(low, high),
    )


def precision_bar(executed: ExecutedPrecisions) -> tuple[Segment, ...]:
    """The multiply-accumulates per precision, side by side; precisions that multiply nothing are left out."""
    segments: list[Segment] = []
    left = 0.0
    for rank, entry in enumerate(share for share in executed.shares if share.macs):
        width = entry.share * WIDTH
        segments.append(Segment(x=left, width=width, precision=entry.precision, share=entry.share, rank=rank))
        left += width
    return tuple(segments)


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """Round limits in dB that hold all values but the stand-ins for infinity, which end up at the rim."""
    finite = [max(-20.0, min(_FULL_SCALE_DB, value)) for value in values]
    return min(0.0, 10 * math.floor(min(finite) / 10)), max(10.0, 10 * math.ceil(max(finite) / 10))


def _height(value: float, low: float, high: float) -> float:
    inside = max(low, min(high, value))
    return _PLOT_TOP + _PLOT_HEIGHT * (1 - (inside - low) / (high - low))


def _ticks(low: float, high: float) -> tuple[Tick, ...]:
    values = [low + 10 * index for index in range(round((high - low) / 10) + 1)]
    return tuple(Tick(y=_height(value, low, high), text=f"{value:.0f}") for value in values)
