"""How figures are written out, alike in the terminal and on the page."""

from __future__ import annotations

from zsq_export.validation.comparison import SQNR_LIMIT_DB
from zsq_export.validation.figures import InputOrigin


def decibels(value: float) -> str:
    """SQNR for people."""
    if value >= SQNR_LIMIT_DB:
        return "identical"
    return "no signal" if value <= -SQNR_LIMIT_DB else f"{value:.1f} dB"


def percent(value: float | None, digits: int = 2) -> str:
    """A percentage, or a dash."""
    return "–" if value is None else f"{value:.{digits}f} %"


def share(value: float | None) -> str:
    """A share (0..1) as a percentage, or "unknown"."""
    return "unknown" if value is None else f"{100 * value:.1f} %"


def milliseconds(value: float) -> str:
    """A time with three significant digits."""
    if value >= 1000:
        return f"{value:.0f} ms"
    digits = 1 if value >= 100 else 2 if value >= 10 else 3
    return f"{value:.{digits}f} ms"


def span(low: float, high: float) -> str:
    """Two times of one unit."""
    return f"{milliseconds(low).removesuffix(' ms')} – {milliseconds(high)}"


def size(count: int) -> str:
    """Bytes in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def origin_mark(origin: InputOrigin) -> str:
    """The mark that stands beside every figure."""
    return "synthetic" if origin is InputOrigin.SYNTHETIC else "real data"


def measured(value: float | None, unit: str) -> str:
    """A metric's value with its unit, or a dash."""
    if value is None:
        return "–"
    text = f"{value:.2f}" if unit else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


def change(value: float) -> str:
    """A difference with its sign."""
    return "±0" if value == 0 else f"{value:+.2f}" if abs(value) >= 0.01 else f"{value:+.2g}"
