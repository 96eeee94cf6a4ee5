"""Fidelity along the network: one line per target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.reporting import wording
from zsq_export.reporting.charts.frame import Frame
from zsq_export.reporting.charts.scales import Scale, round_scale
from zsq_export.reporting.charts.svg import element, number, picture
from zsq_export.validation.figures import LayerFidelity, LayerReport

_LOWEST_DB, _HIGHEST_DB = -20.0, 60.0
"""What lies outside, the stand-ins for infinity among it, ends up at the rim."""
_MOST_MARKS = 400
"""Points with words of their own on one line; with more, the line is all that can be seen anyway."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One line: name and class of its target, and the layers."""

    name: str
    style: str
    report: LayerReport


def network_chart(traces: Sequence[Trace], *, worst: int = 3) -> Markup:
    """SQNR of every layer in execution order.

    Args:
        traces: at least one, each with at least one layer.
        worst: how many layers of each to mark.
    """
    frame = Frame()
    positions = sorted({layer.position for trace in traces for layer in trace.report.layers})
    columns = {position: frame.x(index, len(positions)) for index, position in enumerate(positions)}
    values = [layer.sqnr_db for trace in traces for layer in trace.report.layers]
    scale = round_scale([_inside(value) for value in values], include=(0.0, 10.0))
    label = "SQNR in dB of every layer, in the order of execution; the figures are in the table below"
    lines = [
        _line(trace, columns, scale, frame, worst, width=_width(index, len(traces)))
        for index, trace in enumerate(traces)
    ]
    grid = frame.grid(scale.ticks, scale, " dB")
    return picture(label, grid, *lines, viewBox=frame.view_box, class_="plot")


def _width(index: int, count: int) -> float:
    """Earlier lines are wider, so that they show beside a later one that runs over them."""
    return 1.5 + 2.5 * (count - 1 - index)


def _line(trace: Trace, columns: dict[int, float], scale: Scale, frame: Frame, worst: int, *, width: float) -> Markup:
    marked = {layer.tensor for layer in trace.report.layers[:worst]}
    ordered = sorted(trace.report.layers, key=lambda layer: layer.position)
    places = [(columns[layer.position], frame.y(scale(_inside(layer.sqnr_db)))) for layer in ordered]
    path = "M" + " L".join(f"{number(x)} {number(y)}" for x, y in places)
    points = [
        _point(trace, layer, x, y, is_worst=layer.tensor in marked)
        for layer, (x, y) in zip(ordered, places, strict=True)
        if layer.tensor in marked or len(ordered) <= _MOST_MARKS
    ]
    return element("g", element("path", d=path, class_="trace", stroke_width=width), *points, class_=trace.style)


def _point(trace: Trace, layer: LayerFidelity, x: float, y: float, *, is_worst: bool) -> Markup:
    words = f"{trace.name}: {layer.node} ({layer.op_type}), {wording.decibels(layer.sqnr_db)}"
    return element(
        "circle", element("title", words), cx=x, cy=y, r=4.5 if is_worst else 2, class_="worst" if is_worst else None
    )


def _inside(value: float) -> float:
    return max(_LOWEST_DB, min(_HIGHEST_DB, value))
