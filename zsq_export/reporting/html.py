"""``report.html``: one self-contained page, readable without a network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from zsq_export.atomic import write_file
from zsq_export.reporting import wording
from zsq_export.reporting.charts import WIDTH, latency_chart, layer_chart, precision_bar
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.report_types import ValidationReport

_WORST_LAYERS = 10
_MARKS = {"warning": "!", "note": "i", "good": "✓"}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One headline figure.

    Attributes:
        title: what it is.
        value: the figure.
        detail: spread, n, comparison.
        synthetic: measured on synthetic inputs.
    """

    title: str
    value: str
    detail: str
    synthetic: bool = False


def render_html(report: ValidationReport) -> str:
    """The page as text; the same report gives the same bytes."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(
        decibels=wording.decibels, milliseconds=wording.milliseconds, percent=wording.percent, share=wording.share
    )
    template = resources.files("zsq_export.reporting").joinpath("report.html").read_text()
    return environment.from_string(template).render(
        report=report,
        tiles=_tiles(report),
        width=WIDTH,
        latency=None if report.latency is None else latency_chart(report.latency),
        layers=None if report.layers is None else layer_chart(report.layers),
        worst_layers=_WORST_LAYERS,
        precisions=precision_bar(report.executed),
        marks=_MARKS,
        synthetic=report.inputs.origin is InputOrigin.SYNTHETIC,
    )


def write_html(report: ValidationReport, path: Path) -> None:
    """Writes ``report.html`` whole or not at all, in place of an earlier one."""
    write_file(path, render_html(report).encode(), overwrite=True)


def _tiles(report: ValidationReport) -> tuple[Tile, ...]:
    tiles = (_agreement(report), _accuracy(report), _sqnr(report), _speed(report), _int8(report), _size(report))
    return tuple(tile for tile in tiles if tile is not None)


def _agreement(report: ValidationReport) -> Tile | None:
    agreement = report.agreement
    if agreement is None:
        return None
    return Tile(
        title="Top-1 agreement with float",
        value=wording.percent(agreement.percent),
        detail=f"± {agreement.standard_error:.2f} points, n = {agreement.samples}",
        synthetic=agreement.inputs is InputOrigin.SYNTHETIC,
    )


def _accuracy(report: ValidationReport) -> Tile | None:
    accuracy = report.accuracy
    if accuracy is None:
        return None
    change = f"{accuracy.change:+.2f} ± {accuracy.drop_standard_error:.2f} points"
    return Tile(
        title="Top-1 accuracy, int8",
        value=wording.percent(accuracy.top1_quantized),
        detail=f"float {accuracy.top1_float:.2f} %, {change}, n = {accuracy.samples}",
    )


def _sqnr(report: ValidationReport) -> Tile | None:
    worst = min(report.outputs, key=lambda output: output.sqnr_db, default=None)
    if worst is None:
        return None
    return Tile(
        title="Output SQNR" if len(report.outputs) == 1 else "Output SQNR, worst output",
        value=wording.decibels(worst.sqnr_db),
        detail=f"{worst.output}, cosine {worst.cosine:.4f}, n = {worst.samples}",
        synthetic=worst.inputs is InputOrigin.SYNTHETIC,
    )


def _speed(report: ValidationReport) -> Tile | None:
    if report.latency is None:
        return None
    best = report.latency.against_best
    return Tile(
        title=f"Speed-up against {best.baseline}",
        value=f"{best.ratio:.2f} ×",
        detail=f"95 % interval {best.low:.2f} – {best.high:.2f}, the fastest float precision here",
    )


def _int8(report: ValidationReport) -> Tile:
    return Tile(
        title="Work done in int8",
        value=wording.share(report.executed.int8_mac_share),
        detail="of the multiply-accumulates, read from the runtime",
    )


def _size(report: ValidationReport) -> Tile:
    factor = report.float_bytes / report.quantized_bytes if report.quantized_bytes else 0
    return Tile(
        title="Size on disk",
        value=wording.size(report.quantized_bytes),
        detail=f"float {wording.size(report.float_bytes)}, {factor:.1f} × smaller",
    )
