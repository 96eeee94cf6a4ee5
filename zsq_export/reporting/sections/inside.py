"""Inside the network: layers, ranges, what ran in which precision, what stayed float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.planning.plan import FloatOp
from zsq_export.reporting import wording
from zsq_export.reporting.charts.network import Trace, network_chart
from zsq_export.reporting.charts.ranges import range_chart
from zsq_export.reporting.charts.rows import Part, stack
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.executed import INT8_NAMES
from zsq_export.validation.figures import ExecutedPrecisions, LayerReport
from zsq_export.validation.ranges import RangeReport, TensorRange

_MOST_CLIPPED = 10
_FLOAT_STYLES = ("p0", "p1", "p2")


@dataclass(frozen=True, kw_only=True)
class RangePicture:
    """Ranges of one artifact, or of several that chose the same.

    Attributes:
        labels: of the artifacts.
        report: the ranges.
        chart: the same as a picture.
        clipped: the tensors that lose most at the rim, worst first.
    """

    labels: str
    report: RangeReport
    chart: Markup
    clipped: tuple[TensorRange, ...]


@dataclass(frozen=True, kw_only=True)
class PrecisionRow:
    """What one artifact ran: parts of the multiply-accumulates, most first."""

    entry: Entry
    chart: Markup
    words: str


@dataclass(frozen=True, kw_only=True)
class FloatGroup:
    """Ops that stayed float for one reason."""

    entry: Entry
    reason: str
    ops: tuple[FloatOp, ...]

    @property
    def kinds(self) -> str:
        """How many of which type: "12 Clip, 3 Add"."""
        kinds = [op.op_type for op in self.ops]
        return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def layer_picture(entries: Sequence[Entry]) -> Markup | None:
    """One line per artifact; None where no artifact has layers."""
    traces = [
        Trace(name=entry.label, style=entry.style, report=layers)
        for entry in entries
        if (layers := entry.report.layers) is not None and layers.layers
    ]
    return network_chart(traces) if traces else None


def with_layers(entries: Sequence[Entry]) -> tuple[tuple[Entry, LayerReport], ...]:
    """The artifacts that have figures per layer."""
    found = ((entry, entry.report.layers) for entry in entries)
    return tuple((entry, layers) for entry, layers in found if layers is not None and layers.layers)


def range_pictures(entries: Sequence[Entry]) -> tuple[RangePicture, ...]:
    """One picture per different set of ranges."""
    groups: dict[RangeReport, list[str]] = {}
    for entry in entries:
        if entry.report.ranges is not None and entry.report.ranges.tensors:
            groups.setdefault(entry.report.ranges, []).append(entry.label)
    return tuple(
        RangePicture(
            labels=", ".join(labels),
            report=report,
            chart=range_chart(report),
            clipped=tuple(
                sorted((entry for entry in report.tensors if entry.clipped), key=lambda entry: -entry.clipped)
            )[:_MOST_CLIPPED],
        )
        for report, labels in groups.items()
    )


def precision_rows(entries: Sequence[Entry]) -> tuple[PrecisionRow, ...]:
    """Multiply-accumulates per precision; an artifact whose runtime does not say has words only."""
    rows = []
    for entry in entries:
        parts = _parts(entry, entry.report.executed)
        words = ", ".join(part.label for part in parts) or "the runtime does not say"
        rows.append(PrecisionRow(entry=entry, chart=stack(words, parts), words=words))
    return tuple(rows)


def float_groups(entries: Sequence[Entry]) -> tuple[FloatGroup, ...]:
    """What every plan left float, by reason, most ops first."""
    groups = []
    for entry in entries:
        reasons: dict[str, list[FloatOp]] = {}
        for op in entry.report.float_ops:
            reasons.setdefault(op.reason, []).append(op)
        found = [FloatGroup(entry=entry, reason=reason, ops=tuple(ops)) for reason, ops in reasons.items()]
        groups += sorted(found, key=lambda group: -len(group.ops))
    return tuple(groups)


def _parts(entry: Entry, executed: ExecutedPrecisions) -> list[Part]:
    parts, others = [], 0
    for share in executed.shares:
        if not share.macs:
            continue
        style = entry.style
        if share.precision.lower() not in INT8_NAMES:
            style = _FLOAT_STYLES[min(others, len(_FLOAT_STYLES) - 1)]
            others += 1
        parts.append(Part(share=share.share, style=style, label=f"{wording.share(share.share)} {share.precision}"))
    return parts
