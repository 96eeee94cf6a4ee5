"""Ranges seen against ranges chosen, one column per quantized activation."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from zsq_export.reporting.charts.frame import Frame
from zsq_export.reporting.charts.scales import SignedLogScale, signed_log_scale
from zsq_export.reporting.charts.svg import element, picture
from zsq_export.validation.ranges import RangeReport, TensorRange


def range_chart(report: RangeReport) -> Markup:
    """Of each activation the chosen range as a wide bar, what was seen as a thin one; what is clipped stands out."""
    frame = Frame(height=230.0, bottom=202.0)
    scale = signed_log_scale([value for entry in report.tensors for value in _ends(entry)])
    width = max(1.5, min(12.0, 0.72 * (frame.right - frame.left) / len(report.tensors)))
    count = len(report.tensors)
    columns = [_column(entry, frame.x(index, count), width, scale, frame) for index, entry in enumerate(report.tensors)]
    label = "Range chosen and range seen of every quantized activation; the figures are in the table below"
    return picture(label, frame.grid(_apart(scale, frame), scale), *columns, viewBox=frame.view_box, class_="plot")


def _column(entry: TensorRange, x: float, width: float, scale: SignedLogScale, frame: Frame) -> Markup:
    words = (
        f"{entry.tensor}: chosen {entry.low:.3g} to {entry.high:.3g} in {entry.bits} bits, "
        f"seen {entry.seen_low:.3g} to {entry.seen_high:.3g}, {100 * entry.clipped:.3g} % clipped"
    )
    thin = max(1.0, width / 4)
    parts = [
        _box(entry.low, entry.high, x, width, "chosen", scale, frame),
        _box(max(entry.seen_low, entry.low), min(entry.seen_high, entry.high), x, thin, "seen", scale, frame),
    ]
    if entry.seen_high > entry.high:
        parts.append(_box(entry.high, entry.seen_high, x, thin, "clipped", scale, frame))
    if entry.seen_low < entry.low:
        parts.append(_box(entry.seen_low, entry.low, x, thin, "clipped", scale, frame))
    return element("g", element("title", words), *parts)


def _box(low: float, high: float, x: float, width: float, style: str, scale: SignedLogScale, frame: Frame) -> Markup:
    top, bottom = frame.y(scale(high)), frame.y(scale(low))
    return element("rect", x=x - width / 2, y=top, width=width, height=max(bottom - top, 0.5), class_=style)


def _apart(scale: SignedLogScale, frame: Frame, gap: float = 22.0) -> Sequence[float]:
    """Ticks whose numbers do not touch; zero and the roundest stay."""
    kept: list[float] = []
    for tick in scale.ticks:
        if all(abs(frame.y(scale(tick)) - frame.y(scale(other))) >= gap for other in kept):
            kept.append(tick)
    return sorted(kept)


def _ends(entry: TensorRange) -> tuple[float, float, float, float]:
    return entry.low, entry.high, entry.seen_low, entry.seen_high
