"""The frame of a picture with two axes: where the plot lies, its grid lines, and the words at its ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.reporting.charts.svg import element


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture's plot area, in the picture's own units; the page scales it."""

    width: float = 760.0
    height: float = 250.0
    left: float = 56.0
    right: float = 750.0
    top: float = 10.0
    bottom: float = 222.0

    @property
    def view_box(self) -> str:
        """For the ``svg`` element."""
        return f"0 0 {self.width:g} {self.height:g}"

    def x(self, index: int, count: int) -> float:
        """Centre of the column of one of ``count`` things."""
        return self.left + (index + 0.5) * (self.right - self.left) / max(count, 1)

    def y(self, share: float) -> float:
        """Height of a value whose place on its scale is ``share``."""
        return self.bottom - share * (self.bottom - self.top)

    def grid(self, ticks: Sequence[float], scale: Callable[[float], float], unit: str = "") -> Markup:
        """Grid lines with their numbers, the highest with its unit, and where the network begins and ends."""
        lines = [
            element("line", x1=self.left, x2=self.right, y1=self.y(scale(tick)), y2=self.y(scale(tick)), class_="grid")
            for tick in ticks
        ]
        numbers = [
            element(
                "text",
                f"{tick:g}{unit if tick == max(ticks) else ''}",
                x=self.left - 8,
                y=self.y(scale(tick)) + 4,
                text_anchor="end",
            )
            for tick in ticks
        ]
        ends = [
            element("text", "first layer", x=self.left, y=self.height - 6),
            element("text", "last layer", x=self.right, y=self.height - 6, text_anchor="end"),
        ]
        return Markup("").join([*lines, *numbers, *ends])
