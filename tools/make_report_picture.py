"""Makes docs/images/report.png: parts of the page about EfficientNet-Lite0 on every CPU target, light beside dark.

    python tools/make_report_picture.py [FOLDER]

FOLDER holds the artifacts, validated, as `zsq-export demo -o demo` leaves them in demo/out; without one the demo runs
first, in a temporary folder (minutes). Needs the extras [all,demo] and Chromium. Says how large the page is, whether
the browser complained, and whether the page asked for anything.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from zsq_export.pages import write_comparison

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

from chromium import Chromium, find_chromium  # noqa: E402  # of the tests, which drive the same browser

DESTINATION = REPOSITORY / "docs" / "images" / "report.png"
MOST_MEGABYTES = 5
WIDTH, HEIGHT, SCALE = 1160, 1440, 0.6
PARTS = (("light", "summary"), ("dark", "speed"))
"""Colour scheme, and the section that ends up at the top; the first picture starts at the top of the page."""


def shots(page: Path) -> list[Image.Image]:
    """Parts of the page in light and dark."""
    executable = find_chromium()
    if executable is None:
        sys.exit("no Chromium here; install one, or name it in CHROMIUM")
    found = []
    with tempfile.TemporaryDirectory() as profile, Chromium(executable, Path(profile)) as browser:
        browser.resize(WIDTH, HEIGHT)
        browser.open(page)
        for index, (scheme, section) in enumerate(PARTS):
            browser.media(scheme=scheme)
            if index:
                browser.evaluate(f"document.getElementById({section!r}).scrollIntoView()")
            found.append(Image.open(io.BytesIO(browser.screenshot())).convert("RGB"))
        asked = [address for address in browser.requests if not address.startswith(("data:", "about:", "file:"))]
        verdict(not browser.problems, f"console messages: {len(browser.problems)}")
        verdict(not asked, f"requests beside the page itself: {len(asked)}")
    return found


def verdict(passed: bool, text: str) -> None:
    """One line."""
    print(f"{'PASS' if passed else 'FAIL'}  {text}")


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Both, reduced so that the file stays small."""
    sheet = Image.new("RGB", (WIDTH * len(pictures), HEIGHT))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * WIDTH, 0))
    small = sheet.resize((round(sheet.width * SCALE), round(sheet.height * SCALE)), Image.Resampling.LANCZOS)
    return small.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def main(folder: Path) -> None:
    """Writes the picture."""
    comparison = write_comparison(folder)
    size = comparison.page.stat().st_size / 1e6
    targets = ", ".join(report.target for report in comparison.reports)
    verdict(size < MOST_MEGABYTES, f"page of {targets}: {size:.2f} MB, below {MOST_MEGABYTES} wanted")
    DESTINATION.parent.mkdir(exist_ok=True)
    beside(shots(comparison.page)).save(DESTINATION, optimize=True)
    print(f"{DESTINATION.relative_to(REPOSITORY)}: {DESTINATION.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as work:
            demo = [sys.executable, "-m", "zsq_export", "demo", "-o", f"{work}/demo"]
            subprocess.run(demo, check=True)
            main(Path(work) / "demo" / "out")
