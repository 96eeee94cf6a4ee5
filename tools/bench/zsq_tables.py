"""The zero-shot benchmark's results as Markdown, and as a figure: accuracy lost against seconds spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import mean

from zsq_cells import Cell, Result

_WIDTH, _HEIGHT, _MARGIN = 760, 420, 60
_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8e6c8a", "#d4a017", "#3d405b", "#2a9d8f")
_WORST_DROP = 30.0
FLOAT_BITS = 32


@dataclass(frozen=True, kw_only=True, order=True)
class Method:
    """What cells share that differ in their seed only."""

    protocol: str
    bits: str
    network: str
    calibrator: str
    rounding: str

    @classmethod
    def of(cls, cell: Cell) -> Method:
        """That of one cell."""
        source = cell.source
        marks = [source.calibrator, *(["equalize"] if source.equalize else []), *source.improvements]
        marks += [source.effort] if source.effort != "balanced" else []
        marks += [f"{source.samples} inputs"] if source.samples else []
        marks += [source.device] if source.device != "cpu" else []
        steps = f" ({cell.steps} steps)" if cell.steps else ""
        bits = f"W{cell.weights}" + ("" if cell.activations == FLOAT_BITS else f"A{cell.activations}")
        return cls(
            protocol=cell.protocol.value,
            bits=bits,
            network=source.network,
            calibrator=" + ".join(marks),
            rounding=f"{cell.rounding}{steps}",
        )


def grouped(results: Sequence[Result]) -> dict[Method, list[Result]]:
    """Results that differ in their seed only, together."""
    found: dict[Method, list[Result]] = {}
    for result in results:
        found.setdefault(Method.of(result.cell), []).append(result)
    return found


def markdown(results: Sequence[Result]) -> str:
    """A table per protocol and width; drops are points of top-1 lost against FP32, the mean and each seed's."""
    lines: list[str] = []
    notes: dict[str, None] = {}
    section: tuple[str, str] | None = None
    for method, group in sorted(grouped(results).items()):
        measured = [result for result in group if not result.obstacle]
        if not measured:
            notes[f"- {method.network}, {method.calibrator}, {method.rounding}: {group[0].obstacle}"] = None
            continue
        if section != (method.protocol, method.bits):
            section = (method.protocol, method.bits)
            lines += ["", f"### {method.bits}, {method.protocol}", "", *_HEAD]
        lines.append(_row(method, measured))
    told = ["", "Not measured:", "", *notes] if notes else []
    return "\n".join([*lines, *told]).strip() + "\n"


_HEAD = (
    "| network | calibrator | rounding | FP32 | top-1 | drop | by seed | SQNR dB | s | GiB | GPU GiB |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def _row(method: Method, measured: Sequence[Result]) -> str:
    drops = [result.drop for result in measured]
    seeds = ", ".join(f"{drop:.1f}" for drop in drops) if len(drops) > 1 else ""
    gpu = max(result.gpu_gib for result in measured)
    return (
        f"| {method.network} | {method.calibrator} | {method.rounding} | {measured[0].float_top1:.1f} "
        f"| {mean(r.top1 for r in measured):.1f} | {mean(drops):.1f} | {seeds} | {mean(r.sqnr for r in measured):.1f} "
        f"| {mean(r.seconds for r in measured):.1f} | {max(r.peak_gib for r in measured):.1f} "
        f"| {f'{gpu:.1f}' if gpu else ''} |"
    )


def figure(results: Sequence[Result]) -> str:
    """An SVG: one point per method, network and width; seconds on a logarithmic axis, drops beyond 30 points at 30."""
    groups = [(key, [r for r in group if not r.obstacle]) for key, group in grouped(results).items()]
    points = [(key, mean(r.seconds for r in group), mean(r.drop for r in group)) for key, group in groups if group]
    if not points:
        return _svg([])
    low = math.floor(min(math.log10(max(seconds, 1e-3)) for _, seconds, _ in points))
    high = math.ceil(max(math.log10(max(seconds, 1e-3)) for _, seconds, _ in points)) or low + 1
    methods = list(dict.fromkeys(_short(key) for key, _, _ in points))
    parts = _axes(low, max(high, low + 1))
    for key, seconds, drop in points:
        method = _short(key)
        x = _x(math.log10(max(seconds, 1e-3)), low, max(high, low + 1))
        what = f"{key.network} {key.bits} {key.protocol}: {key.calibrator}, {key.rounding}"
        title = f"{what}, {drop:.1f} points, {seconds:.1f} s"
        parts.append(f'<circle cx="{x:.1f}" cy="{_y(drop):.1f}" r="4" fill="{_colour(methods, method)}" '
                     f'fill-opacity="0.75"><title>{escape(title)}</title></circle>')  # fmt: skip
    for index, method in enumerate(methods):
        y = _MARGIN + 14 * index
        parts.append(f'<circle cx="{_WIDTH - 170}" cy="{y}" r="4" fill="{_colour(methods, method)}"/>'
                     f'<text x="{_WIDTH - 160}" y="{y + 4}" font-size="11">{escape(method)}</text>')  # fmt: skip
    return _svg(parts)


def _short(method: Method) -> str:
    """Calibrator and rounding without their settings, for the legend."""
    return f"{method.calibrator.split(' + ')[0]} / {method.rounding.split(' ')[0]}"


def _colour(methods: list[str], method: str) -> str:
    return _COLOURS[methods.index(method) % len(_COLOURS)]


def _x(exponent: float, low: int, high: int) -> float:
    return _MARGIN + (exponent - low) / (high - low) * (_WIDTH - 2 * _MARGIN - 120)


def _y(drop: float) -> float:
    return _MARGIN + min(max(drop, -2.0), _WORST_DROP) / _WORST_DROP * (_HEIGHT - 2 * _MARGIN)


def _axes(low: int, high: int) -> list[str]:
    parts = [f'<text x="{_MARGIN}" y="24" font-size="13">points of top-1 lost (down is worse) against seconds</text>']
    for exponent in range(low, high + 1):
        x = _x(exponent, low, high)
        parts.append(f'<line x1="{x:.1f}" y1="{_MARGIN}" x2="{x:.1f}" y2="{_HEIGHT - _MARGIN}" stroke="#ddd"/>'
                     f'<text x="{x:.1f}" y="{_HEIGHT - 40}" font-size="11" text-anchor="middle">{10.0**exponent:g} s'
                     "</text>")  # fmt: skip
    for drop in range(0, int(_WORST_DROP) + 1, 5):
        parts.append(f'<text x="{_MARGIN - 8}" y="{_y(drop) + 4:.1f}" font-size="11" text-anchor="end">{drop}</text>'
                     f'<line x1="{_MARGIN}" y1="{_y(drop):.1f}" x2="{_WIDTH - 180}" y2="{_y(drop):.1f}" '
                     'stroke="#eee"/>')  # fmt: skip
    return parts


def _svg(parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"
