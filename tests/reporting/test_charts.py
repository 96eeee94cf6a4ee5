from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import make_layers, make_ranges

from zsq_export.reporting.charts.network import Trace, network_chart
from zsq_export.reporting.charts.ranges import range_chart
from zsq_export.reporting.charts.rows import Part, bar, interval, stack
from zsq_export.reporting.charts.scales import round_scale, signed_log_scale
from zsq_export.reporting.charts.svg import element, number
from zsq_export.validation.figures import InputOrigin, LayerReport
from zsq_export.validation.ranges import RangeReport

FINITE = st.floats(-1e30, 1e30)


def places(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'\b{name}="(-?[\d.]+)%?"', svg)]


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=20))
def test_a_round_scale_holds_every_value(values: list[float]) -> None:
    scale = round_scale(values)
    slack = 1e-6 * (scale.high - scale.low)
    assert scale.low - slack <= min(values) and max(values) <= scale.high + slack
    assert 2 <= len(scale.ticks) <= 12 and all(0 <= scale(value) <= 1 for value in values)


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=20))
def test_a_signed_log_scale_keeps_the_order(values: list[float]) -> None:
    scale = signed_log_scale(values)
    found = [scale(value) for value in sorted(values)]
    assert found == sorted(found) and all(0 <= place <= 1 for place in found)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)


def test_bars_are_proportional_and_their_whiskers_at_the_quartiles() -> None:
    scale = round_scale([8.0], include=(0.0,))
    svg = bar("label", 4.0, scale, "s0", spread=(3.0, 6.0))
    assert places(svg, "width")[-1] == 100 * 4 / scale.high
    assert places(svg, "x1")[-3:] == pytest.approx([37.5, 37.5, 75.0])


def test_an_interval_that_leaves_the_scale_ends_at_the_rim() -> None:
    scale = round_scale([1.0, 2.0])
    svg = interval("label", 1.5, -5.0, 99.0, scale, "s0", reference=1.0)
    assert all(0 <= place <= 100 for name in ("x1", "x2", "cx") for place in places(svg, name))


def test_a_stack_fills_the_row() -> None:
    parts = [Part(share=0.97, style="s0", label="i8"), Part(share=0.03, style="p0", label="f32")]
    svg = stack("label", parts)
    widths = [float(value) for value in re.findall(r'<rect[^>]* width="([\d.]+)%"', svg)]
    assert sum(widths) == pytest.approx(100)


def test_layers_are_drawn_in_execution_order_with_the_worst_marked() -> None:
    svg = network_chart([Trace(name="a", style="s0", report=make_layers())], worst=2)
    assert re.findall(r"a: (node_\d+) ", svg) == [f"node_{i}" for i in range(12)]
    assert svg.count('class="worst"') == 2
    heights = places(svg, "cy")
    assert heights[0] < heights[-1], "the SQNR falls along the network"


def test_values_that_stand_for_infinity_stay_in_the_picture() -> None:
    layers = [replace(layer, sqnr_db=(-1) ** i * 200.0) for i, layer in enumerate(make_layers().layers)]
    report = LayerReport(layers=tuple(layers), samples=1, inputs=InputOrigin.REAL)
    heights = places(network_chart([Trace(name="a", style="s0", report=report)]), "cy")
    assert all(0 <= height <= 250 for height in heights)


def test_what_is_clipped_stands_out_and_only_that() -> None:
    report = make_ranges()
    assert 'class="clipped"' not in range_chart(report)
    last = replace(report.tensors[-1], seen_high=40.0, seen_low=-9.0)
    svg = range_chart(RangeReport(tensors=(*report.tensors[:-1], last), samples=32, inputs=InputOrigin.REAL))
    assert svg.count('class="clipped"') == 2


@pytest.mark.parametrize("value", [0.0, 3.4e38, -3.4e38, 1e-38])
def test_ranges_of_any_size_can_be_drawn(value: float) -> None:
    entry = replace(make_ranges().tensors[0], low=-abs(value), high=abs(value), seen_low=value, seen_high=value)
    svg = range_chart(RangeReport(tensors=(entry,), samples=1, inputs=InputOrigin.REAL))
    assert all(math.isfinite(place) and 0 <= place <= 230 for place in places(svg, "y"))


def test_elements_escape_what_comes_from_a_model() -> None:
    assert element("title", "<script>") == "<title>&lt;script&gt;</title>"
    assert 'x="&#34;"' in element("g", x='"')


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (0.126, "0.13"), (-0.001, "0"), (12.5, "12.5")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
