from __future__ import annotations

import io
from dataclasses import replace

import pytest
from reports import make_report
from rich.console import Console

from zsq_export.reporting import wording
from zsq_export.reporting.terminal import print_report
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.gates import Gates
from zsq_export.validation.report_types import ValidationReport


def printed(report: ValidationReport) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=140))
    return stream.getvalue()


def test_every_headline_figure_is_printed() -> None:
    text = printed(make_report(gates=Gates(min_agreement=99)))
    for figure in (
        "98.50 ± 0.60 %",
        "97.20 → 96.80 %",
        "-0.40 ± 0.35 points",
        "27.3 dB",
        "1.50 × (1.46–1.54)",
        "FAILED",
    ):
        assert figure in text


def test_every_figure_on_synthetic_inputs_is_marked() -> None:
    lines = printed(make_report(InputOrigin.SYNTHETIC)).splitlines()
    for start in ("│ top-1 agreement", "│ SQNR, logits", "│ cosine"):
        (line,) = [line for line in lines if line.startswith(start)]
        assert "synthetic" in line
    assert any(line.startswith("Worst layers") and "synthetic" in line for line in lines)
    assert not any("real data" in line for line in lines if line.startswith(("│", "Latency", "Worst")))


def test_a_figure_that_was_predicted_is_told_from_those_that_were_measured() -> None:
    synthetic = printed(make_report(InputOrigin.SYNTHETIC, Gates(min_agreement=98)))
    real = printed(make_report(InputOrigin.REAL, Gates(min_agreement=98)))
    assert "98.10 % (predicted)" in synthetic and "98.50 ± 0.60 %" in synthetic
    assert "98.50 %" in real and "(predicted)" not in real


def test_parts_that_were_not_measured_are_left_out() -> None:
    text = printed(replace(make_report(), latency=None, layers=None, accuracy=None, findings=()))
    assert "Latency" not in text and "Worst layers" not in text and "97.20" not in text


def test_names_are_not_taken_for_markup() -> None:
    assert "[bold]x[/y].onnx" in printed(replace(make_report(), model="[bold]x[/y].onnx"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.decibels(200.0), "identical"),
        (wording.decibels(-200.0), "no signal"),
        (wording.decibels(27.349), "27.3 dB"),
        (wording.milliseconds(0.1234), "0.123 ms"),
        (wording.milliseconds(12.345), "12.35 ms"),
        (wording.milliseconds(1234.5), "1234 ms"),
        (wording.size(999), "999 B"),
        (wording.size(4_650_000), "4.7 MB"),
        (wording.share(None), "unknown"),
        (wording.percent(None), "–"),
    ],
)
def test_wording(text: str, expected: str) -> None:
    assert text == expected
