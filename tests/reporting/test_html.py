from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from reports import make_latency, make_layers, make_report

from zsq_export.reporting.charts import WIDTH, latency_chart, layer_chart, precision_bar
from zsq_export.reporting.html import render_html, write_html
from zsq_export.validation.figures import InputOrigin, LayerReport
from zsq_export.validation.gates import Gates

VOID = {"meta", "link"}


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

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"rect", "path", "circle"}

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


@pytest.mark.parametrize("origin", list(InputOrigin))
def test_page_is_well_formed_and_needs_no_network(origin: InputOrigin) -> None:
    html = render_html(make_report(origin, Gates(min_agreement=99, min_speedup=1)))
    assert parse(html).addresses == ["data:,"]
    assert "http" not in html and "<script" not in html and "@import" not in html


def test_page_says_the_headline_figures() -> None:
    text = " ".join(" ".join(parse(render_html(make_report())).text).split())
    for figure in ("98.50 %", "96.80 %", "float 97.20 %", "27.3 dB", "1.50 ×", "97.0 %", "1.1 MB", "no int8 kernel"):
        assert figure in text


def test_names_from_the_model_are_escaped() -> None:
    html = render_html(make_report())
    assert "digits &lt;1&gt;.onnx" in html and "digits <1>" not in html


def test_synthetic_figures_are_marked_and_real_ones_are_not() -> None:
    synthetic, real = (render_html(make_report(origin)) for origin in (InputOrigin.SYNTHETIC, InputOrigin.REAL))
    assert len(re.findall(r'class="mark synthetic"', synthetic)) >= 6
    assert 'class="mark synthetic"' not in real
    assert "Measured on synthetic inputs" in synthetic


def test_parts_that_were_not_measured_are_left_out() -> None:
    report = replace(make_report(), latency=None, layers=None, accuracy=None, lowering=(), float_ops=())
    html = render_html(report)
    parse(html)
    assert "<h2>Latency</h2>" not in html and "along the network" not in html


def test_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    write_html(make_report(), tmp_path / "a.html")
    write_html(make_report(), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_bars_are_proportional_and_inside_the_picture() -> None:
    first, second, third = latency_chart(make_latency()).bars
    assert first.width == pytest.approx(2 * third.width) and second.width == pytest.approx(1.5 * third.width)
    assert first.high < WIDTH and first.low < first.x + first.width < first.high


def test_layers_are_drawn_in_execution_order_with_the_worst_marked() -> None:
    chart = layer_chart(make_layers(), worst=2)
    assert chart is not None
    assert [point.node for point in chart.points] == [f"node_{i}" for i in range(12)]
    assert {point.node for point in chart.points if point.is_worst} == {"node_10", "node_11"}
    heights = {point.sqnr_db: point.y for point in chart.points}
    assert heights[max(heights)] < heights[min(heights)]
    assert all(chart.left <= point.x <= chart.right and 0 <= point.y <= chart.bottom for point in chart.points)


def test_no_layers_no_picture() -> None:
    assert layer_chart(LayerReport(layers=(), samples=1, inputs=InputOrigin.REAL)) is None


def test_values_that_stand_for_infinity_stay_in_the_picture() -> None:
    layers = [replace(layer, sqnr_db=(-1) ** i * 200.0) for i, layer in enumerate(make_layers().layers)]
    chart = layer_chart(LayerReport(layers=tuple(layers), samples=1, inputs=InputOrigin.REAL))
    assert chart is not None and all(0 <= point.y <= chart.bottom for point in chart.points)


def test_precisions_fill_the_bar() -> None:
    segments = precision_bar(make_report().executed)
    assert [segment.precision for segment in segments] == ["i8", "f32"]
    assert sum(segment.width for segment in segments) == pytest.approx(WIDTH)
