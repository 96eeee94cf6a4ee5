"""One-line pictures for the cells of a table: bars, intervals, stacks. All lengths are shares of the cell's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.reporting.charts.scales import Scale
from zsq_export.reporting.charts.svg import element, percent, picture

_HEIGHT, _MIDDLE = 24, 12


@dataclass(frozen=True, kw_only=True)
class Part:
    """One piece of a stack.

    Attributes:
        share: of the whole, 0..1.
        style: class of the rectangle.
        label: for people who point at it.
    """

    share: float
    style: str
    label: str


def bar(label: str, value: float, scale: Scale, style: str, *, spread: tuple[float, float] | None = None) -> Markup:
    """A bar from the axis' low end to a value, with an optional spread as a whisker."""
    parts = [element("rect", x="0", y=5, width=percent(scale(value)), height=14, class_=f"bar {style}")]
    if spread is not None:
        parts.append(_whisker(scale(spread[0]), scale(spread[1])))
    return _row(label, scale, *parts)


def interval(
    label: str, value: float, low: float, high: float, scale: Scale, style: str, *, reference: float | None = None
) -> Markup:
    """A dot with its confidence interval, and a line where nothing is gained or lost."""
    parts = []
    if reference is not None:
        x = percent(scale(reference))
        parts.append(element("line", x1=x, x2=x, y1=0, y2=_HEIGHT, class_="reference"))
    ends = {"x1": percent(scale(low)), "x2": percent(scale(high))}
    parts.append(element("line", **ends, y1=_MIDDLE, y2=_MIDDLE, class_=f"interval {style}"))
    parts.append(element("circle", cx=percent(scale(value)), cy=_MIDDLE, r=5, class_=f"dot {style}"))
    return _row(label, scale, *parts)


def stack(label: str, parts: Sequence[Part]) -> Markup:
    """Shares side by side."""
    rectangles, left = [], 0.0
    for part in parts:
        words = element("title", part.label)
        rectangles.append(
            element("rect", words, x=percent(left), width=percent(part.share), y=3, height=18, class_=part.style)
        )
        left += part.share
    return picture(label, *rectangles, width="100%", height=_HEIGHT, class_="row")


def axis(scale: Scale, unit: str) -> Markup:
    """The labels below a column of rows; hidden from screen readers, which read the figures."""
    last = len(scale.ticks) - 1
    labels = [
        element(
            "text",
            f"{tick:g}{unit if index == last else ''}",
            x=percent(scale(tick)),
            y=14,
            text_anchor="start" if index == 0 else "end" if index == last else "middle",
        )
        for index, tick in enumerate(scale.ticks)
    ]
    return element("svg", *labels, width="100%", height=18, class_="row", aria_hidden="true")


def _row(label: str, scale: Scale, *parts: Markup) -> Markup:
    lines = [
        element("line", x1=percent(scale(tick)), x2=percent(scale(tick)), y1=0, y2=_HEIGHT, class_="grid")
        for tick in scale.ticks
    ]
    return picture(label, *lines, *parts, width="100%", height=_HEIGHT, class_="row")


def _whisker(low: float, high: float) -> Markup:
    ends = [
        element("line", x1=percent(place), x2=percent(place), y1=_MIDDLE - 4, y2=_MIDDLE + 4) for place in (low, high)
    ]
    line = element("line", x1=percent(low), x2=percent(high), y1=_MIDDLE, y2=_MIDDLE)
    return element("g", line, *ends, class_="whisker")
