"""How close the quantized models are to the float one: outputs, and agreement, measured and predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zsq_export.reporting import wording
from zsq_export.reporting.charts.rows import axis, bar, interval
from zsq_export.reporting.charts.scales import round_scale
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.forecast import AgreementKind

_TWO_SIDED_95 = 1.96
_SHOWN_DB = 60.0


@dataclass(frozen=True, kw_only=True)
class FidelityRow:
    """One figure of one artifact.

    Attributes:
        entry: it belongs to.
        name: of the output or metric.
        value, detail: in words.
        chart: the same as a picture.
        inputs: what it was measured on; None for a prediction.
        samples: how many of them.
    """

    entry: Entry
    name: str
    value: str
    detail: str
    chart: Markup
    inputs: InputOrigin | None
    samples: int


@dataclass(frozen=True, kw_only=True)
class FidelityGroup:
    """Rows that share an axis."""

    title: str
    note: str
    rows: tuple[FidelityRow, ...]
    axis: Markup


def fidelity_groups(entries: Sequence[Entry]) -> tuple[FidelityGroup, ...]:
    """Agreement, measured and predicted, and SQNR of the outputs; groups without figures are left out."""
    groups = (*(_agreement(entries, kind) for kind in AgreementKind), _estimates(entries), _sqnr(entries))
    return tuple(group for group in groups if group is not None)


_AGREEMENT_TITLES = {
    AgreementKind.TOP1: ("Same answer as the float model", "Share of inputs whose highest class score is the same"),
    AgreementKind.VALUES: ("Same values as the float model", "Share of values within 5 % of the output's spread"),
}


def _agreement(entries: Sequence[Entry], kind: AgreementKind) -> FidelityGroup | None:
    found = [
        (entry, output, output.agreement)
        for entry in entries
        for output in entry.report.outputs
        if output.agreement is not None and output.agreement.kind is kind
    ]
    if not found:
        return None
    spans = [_span(agreement.percent, agreement.standard_error) for _, _, agreement in found]
    scale = round_scale([low for low, _ in spans], include=(100.0,))
    rows = [
        FidelityRow(
            entry=entry,
            name=output.output,
            value=wording.percent(agreement.percent),
            detail=f"{low:.1f} – {high:.1f}",
            chart=interval(f"{agreement.percent:.2f} % of {agreement.samples}", agreement.percent, low, high, scale,
                           entry.style),
            inputs=agreement.inputs,
            samples=agreement.samples,
        )
        for (entry, output, agreement), (low, high) in zip(found, spans, strict=True)
    ]  # fmt: skip
    title, note = _AGREEMENT_TITLES[kind]
    return FidelityGroup(
        title=title,
        note=f"{note}; 95 % interval.",
        rows=tuple(rows),
        axis=axis(scale, " %"),
    )


def _estimates(entries: Sequence[Entry]) -> FidelityGroup | None:
    found = [(entry, entry.report.estimate) for entry in entries if entry.report.estimate is not None]
    if not found:
        return None
    scale = round_scale([estimate.low for _, estimate in found], include=(100.0,))
    rows = [
        FidelityRow(
            entry=entry,
            name=f"{estimate.confidence.value} confidence" + "".join(f"; {reason}" for reason in estimate.reasons),
            value=wording.percent(estimate.percent, 1),
            detail=f"{estimate.low:.1f} – {estimate.high:.1f}",
            chart=interval(f"{estimate.percent:.1f} % predicted", estimate.percent, estimate.low, estimate.high, scale,
                           entry.style),
            inputs=None,
            samples=sum(part.samples for part in estimate.parts),
        )
        for entry, estimate in found
    ]  # fmt: skip
    return FidelityGroup(
        title="Predicted for real data, without any",
        note=f"Agreement as the conversion predicted it from synthetic inputs ({found[0][1].kind.value}).",
        rows=tuple(rows),
        axis=axis(scale, " %"),
    )


def _sqnr(entries: Sequence[Entry]) -> FidelityGroup | None:
    found = [(entry, output) for entry in entries for output in entry.report.outputs]
    if not found:
        return None
    scale = round_scale([max(-_SHOWN_DB, min(_SHOWN_DB, output.sqnr_db)) for _, output in found], include=(0.0,))
    rows = [
        FidelityRow(
            entry=entry,
            name=output.output,
            value=wording.decibels(output.sqnr_db),
            detail=f"cosine {output.cosine:.4f}",
            chart=bar(f"{output.output}: {wording.decibels(output.sqnr_db)}", output.sqnr_db, scale, entry.style),
            inputs=output.inputs,
            samples=output.samples,
        )
        for entry, output in found
    ]
    return FidelityGroup(
        title="Output SQNR",
        note="Signal over error of the outputs: 20 dB is an error of a tenth of the signal, 40 dB of a hundredth.",
        rows=tuple(rows),
        axis=axis(scale, " dB"),
    )


def _span(percent: float, error: float) -> tuple[float, float]:
    return max(0.0, percent - _TWO_SIDED_95 * error), min(100.0, percent + _TWO_SIDED_95 * error)
