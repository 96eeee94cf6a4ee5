"""Words that several commands use for the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsq_export.preprocessing import Preprocessing
    from zsq_export.validation.report_types import ValidationReport


def size(count: int) -> str:
    """Bytes for people."""
    from zsq_export.reporting import wording

    return wording.size(count)


def describe_convention(convention: Preprocessing | None) -> str:
    """One line: name, mean, std, order of planes, and who says so."""
    if convention is None:
        return "neither given nor detected"
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (convention.mean, convention.std))
    order = convention.channel_order.value.upper()
    return f"{convention.name}: (pixel/255 - [{mean}]) / [{std}], {order}, {convention.origin.value}"


COMPARISON_COLUMNS = ("target", "agreement*", "output SQNR*", "speed-up", "work in int8", "size")


def comparison_row(report: ValidationReport) -> tuple[str, ...]:
    """One artifact among several, under ``COMPARISON_COLUMNS``."""
    from zsq_export.reporting import wording

    agreement, latency = report.agreement, report.latency
    speed = latency.against_best if latency else None
    return (
        report.target,
        "–" if agreement is None else wording.percent(agreement.percent),
        wording.decibels(report.outputs[0].sqnr_db) if report.outputs else "–",
        "–" if speed is None else f"{speed.ratio:.2f} × {speed.baseline}",
        wording.share(report.executed.int8_mac_share),
        f"{wording.size(report.float_bytes)} -> {wording.size(report.quantized_bytes)}",
    )
