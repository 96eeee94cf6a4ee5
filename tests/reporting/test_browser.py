"""The page in a real browser: what it shows, prints and lets a keyboard reach."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from PIL import Image
from reports import make_report

from zsq_export.reporting.contact_sheet import contact_sheet
from zsq_export.reporting.html import write_html
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.gates import Gates

TARGETS = ("onnxruntime", "openvino", "tflite")
SECTIONS = {
    "summary", "findings", "fidelity", "speed", "layers", "ranges", "inputs", "precision", "confusion", "size",
    "search-1", "provenance",
}  # fmt: skip
FOCUSED = "document.activeElement.tagName + ' ' + (document.activeElement.getAttribute('href') || '')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three targets of one model, with every part filled in."""
    noise = np.random.default_rng(0).random((8, 3, 32, 32), np.float32)
    entries = [
        Entry(
            label=target, report=replace(report, target=target), pictures=contact_sheet({"x": noise}, None), index=index
        )
        for index, target in enumerate(TARGETS)
        for report in [make_report(InputOrigin.REAL, Gates(min_agreement=98 + index))]
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(entries, path)
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium here; install one, or name it in CHROMIUM")
    with Chromium(executable, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(running: Chromium, page: Path) -> Chromium:
    running.media()
    running.resize(1200, 900)
    running.open(page)
    return running


def brightness(browser: Chromium) -> float:
    return float(np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L")).mean())


def test_it_opens_without_an_error_and_without_a_network(browser: Chromium, page: Path) -> None:
    assert browser.problems == []
    asked = {address for address in browser.requests if not address.startswith(("data:", "about:"))}
    assert asked == {page.resolve().as_uri()}


def test_every_section_is_on_the_page_and_has_a_height(browser: Chromium) -> None:
    heights = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('section')].map(s => [s.id, s.offsetHeight]))"
    )
    assert set(heights) >= SECTIONS and min(heights.values()) > 50


def test_bars_are_as_long_as_the_figures_say(browser: Chromium) -> None:
    widths = browser.evaluate(
        "[...document.querySelectorAll('#speed figure:last-of-type rect')].map(r => r.getBoundingClientRect().width)"
    )
    f32, bf16, int8 = widths[:3]
    assert f32 == pytest.approx(2 * int8, rel=0.01) and bf16 == pytest.approx(1.5 * int8, rel=0.01)


@pytest.mark.parametrize("width", [320, 375, 768, 1600])
def test_nothing_is_wider_than_the_window(browser: Chromium, width: int) -> None:
    browser.resize(width, 900)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_it_is_light_or_dark_as_the_reader_wants_it_and_light_on_paper(browser: Chromium) -> None:
    light = brightness(browser)
    browser.media(scheme="dark")
    dark = brightness(browser)
    browser.media(media="print", scheme="dark")
    assert light > 200 and dark < 60 and brightness(browser) > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_page(browser: Chromium, scheme: str) -> None:
    """WCAG 2.1, 1.4.3: a contrast of at least 4.5 for text."""
    browser.media(scheme=scheme)
    colours = browser.evaluate(
        "['--page', '--ink', '--soft', '--good', '--bad', '--warn', '--note', '--synthetic']"
        ".map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
    )
    page, *words = [luminance(colour) for colour in colours]
    assert all((max(page, word) + 0.05) / (min(page, word) + 0.05) >= 4.5 for word in words)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it, of #rrggbb."""
    values = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_keyboard_reaches_everything_in_order(browser: Chromium) -> None:
    browser.press("Tab")
    assert browser.evaluate(FOCUSED) == "A #main", "the first stop skips to the report"
    stops = "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')].filter(e => e.checkVisibility())"
    count = browser.evaluate(f"{stops}.length")
    order = []
    for _ in range(count - 1):
        browser.press("Tab")
        order.append(browser.evaluate(f"{stops}.indexOf(document.activeElement)"))
    assert order == list(range(1, count)) and count > 25


def test_a_closed_list_opens_by_keyboard(browser: Chromium) -> None:
    browser.evaluate("document.querySelector('summary').focus()")
    browser.press("Enter")
    assert browser.evaluate("document.querySelector('details').open") is True


def test_links_within_the_page_lead_somewhere(browser: Chromium) -> None:
    missing = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    assert browser.evaluate(missing) == 0


def test_screen_readers_are_told_what_pictures_and_tables_are(browser: Chromium) -> None:
    for selector in (
        "svg[role=img]:not([aria-label])", "svg:not([role=img]):not([aria-hidden])", "img:not([alt])",
        "th:not([scope])", "section:not([aria-labelledby])", ".scroll:not([aria-label])",
    ):  # fmt: skip
        assert browser.evaluate(f"document.querySelectorAll('{selector}').length") == 0, selector


def test_it_prints_on_a_few_pages(browser: Chromium) -> None:
    content = browser.pdf()
    assert content.startswith(b"%PDF") and 2 <= content.count(b"/Type /Page\n") + content.count(b"/Type/Page/") <= 15
