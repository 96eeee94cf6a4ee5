from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from reports import make_report

from zsq_export.planning.plan import FloatOp
from zsq_export.reporting.html import render_html, write_html
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.confusion import Confusion, ConfusionCell
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.forecast import AgreementKind
from zsq_export.validation.gates import Gates
from zsq_export.validation.report_types import ValidationReport

VOID = {"meta", "link", "img", "col"}


class Page(HTMLParser):
    """Checks that tags close in order; gathers text and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def rendered(report: ValidationReport) -> str:
    return render_html([Entry(label=report.target, report=report)])


def words(html: str) -> str:
    return " ".join(" ".join(parse(html).text).split())


@pytest.mark.parametrize("origin", list(InputOrigin))
def test_page_is_well_formed_and_needs_no_network(origin: InputOrigin) -> None:
    html = rendered(make_report(origin, Gates(min_agreement=99, min_speedup=1)))
    assert all(address.startswith(("#", "data:")) for address in parse(html).addresses)
    assert "http:" not in html and "https:" not in html and "<script" not in html and "@import" not in html
    assert "default-src 'none'" in html


def test_the_verdict_comes_first() -> None:
    text = words(rendered(make_report(gates=Gates(min_agreement=99, min_speedup=1))))
    start = text.index("digits <1>.onnx Fails 1 of 2 gates")
    assert start < text.index("1.50 times as fast as float bf16") < text.index("Summary")


def test_page_says_the_headline_figures() -> None:
    text = words(rendered(make_report()))
    for figure in (
        "98.50 %",
        "96.80 %",
        "97.20 %",
        "27.3 dB",
        "1.50 ×",
        "97.0 %",
        "1.1 MB",
        "no int8 kernel",
        "14.50 %",
    ):
        assert figure in text


def test_names_from_the_model_are_escaped() -> None:
    report = make_report()
    ops = (FloatOp(node="<b>node</b>", op_type="Add", reason="<i>why</i>"),)
    html = rendered(replace(report, float_ops=ops))
    assert "digits &lt;1&gt;.onnx" in html and "digits <1>" not in html
    assert "<b>node" not in html and "<i>why" not in html


def test_synthetic_figures_are_marked_and_real_ones_are_not() -> None:
    synthetic, real = (rendered(make_report(origin)) for origin in (InputOrigin.SYNTHETIC, InputOrigin.REAL))
    assert len(re.findall(r'class="mark synthetic"', synthetic)) >= 6
    assert 'class="mark synthetic"' not in real
    assert "Measured on" in words(synthetic)


def test_parts_that_were_not_measured_are_left_out() -> None:
    report = replace(
        make_report(), latency=None, layers=None, ranges=None, accuracy=None, confusion=None, metrics=(), lowering=(),
        float_ops=(), estimate=None, search=(),
    )  # fmt: skip
    html = rendered(report)
    parse(html)
    sections = set(re.findall(r'<section id="([a-z0-9-]+)"', html))
    assert sections == {"summary", "findings", "fidelity", "precision", "size", "provenance"}
    assert set(re.findall(r'href="#([a-z0-9-]+)"', html)) - {"main"} <= sections


def test_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    entry = Entry(label="openvino", report=make_report())
    write_html([entry], tmp_path / "a.html")
    write_html([entry], tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def several() -> list[Entry]:
    reports = [replace(make_report(gates=Gates(min_agreement=98 + i)), target=f"target{i}") for i in range(3)]
    smaller = replace(reports[1], quantized_bytes=900_000)
    return [Entry(label=r.target, report=r, index=i) for i, r in enumerate([reports[0], smaller, reports[2]])]


def test_one_page_compares_all_targets() -> None:
    text = words(render_html(several()))
    assert "1 of 3 targets passes every gate" in text and "Smallest: target1, 900.0 kB" in text
    for part in ("target0 Passes its gate", "target1 Fails 1 of 1 gate", "All targets."):
        assert part in text


def test_thumbnails_that_are_the_same_are_shown_once() -> None:
    same = [replace(entry, pictures=b"png") for entry in several()]
    assert render_html(same).count("<img") == 1
    assert render_html([*same[:2], replace(same[2], pictures=b"other")]).count("<img") == 2


def test_many_classes_are_a_list_and_few_a_matrix() -> None:
    report = make_report()
    assert 'class="confusion"' in rendered(report) and "7 of 500 inputs change their class" in words(rendered(report))
    cells = tuple(ConfusionCell(float_class=i, quantized_class=i + 1, samples=20 - i) for i in range(20))
    many = Confusion(output="logits", classes=1000, cells=cells, samples=210, inputs=InputOrigin.REAL)
    html = rendered(replace(report, confusion=many))
    assert 'class="confusion"' not in html and "0 → 1 ×20" in words(html) and "and 8 more pairs" in words(html)


def test_ops_left_float_are_grouped_by_reason() -> None:
    ops = tuple(FloatOp(node=f"n{i}", op_type="Add" if i % 2 else "Mul", reason="too hot") for i in range(6))
    assert "3 Mul, 3 Add" in words(rendered(replace(make_report(), float_ops=ops)))


def test_other_batch_sizes_energy_and_readings_are_shown() -> None:
    report = make_report()
    assert report.latency is not None
    series = tuple(replace(entry, millijoules=12.5) for entry in report.latency.series)
    metered = replace(report.latency, series=series, energy="a meter")
    environment = replace(report.environment, readings=(("governor", "performance"),))
    sweep = (replace(report.latency, batch_size=32, threads=4),)
    text = words(rendered(replace(report, latency=metered, sweep=sweep, environment=environment)))
    assert "32 4 1.000 ms float bf16 1.50 ×" in text
    assert "float bf16 12.5 a meter" in text and "device: governor performance" in text
    assert "Energy" not in words(rendered(report))


def test_without_real_data_the_prediction_speaks_for_the_model() -> None:
    report = make_report(InputOrigin.SYNTHETIC)
    text = words(rendered(report))
    assert "predicted to agree with the float model on 98.1 % of real data (96.9 to 98.9, low confidence)" in text
    assert "Predicted agreement" in text and "what the prediction rests on" in text
    assert "predicted to agree" not in words(rendered(make_report(InputOrigin.REAL)))
    measured = words(rendered(replace(report, estimate=None)))
    assert "names the float model's class on 98.5 % of 500 synthetic inputs" in measured


def test_outputs_that_are_no_class_scores_agree_in_values() -> None:
    report = replace(make_report(), accuracy=None, metrics=(), estimate=None)
    (output,) = report.outputs
    assert output.agreement is not None
    values = replace(output.agreement, kind=AgreementKind.VALUES)
    text = words(rendered(replace(report, outputs=(replace(output, agreement=values),))))
    assert "agrees in 98.5 % of the values of 500 real inputs" in text
    assert "Same values as the float model" in text and "Same answer as the float model" not in text
