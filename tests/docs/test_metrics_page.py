"""The specs and names that docs/metrics.md shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from zsq_export.metrics.choose import METRICS, metric_names

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()
SPECS = re.findall(r"<!-- spec: (.*?) -->\n```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("name", "text"), SPECS)
def test_a_spec_on_the_page_is_one(name: str, text: str) -> None:
    METRICS.get(name).configured(json.loads(text))


def test_the_page_names_every_metric() -> None:
    assert len(SPECS) >= 6
    for name in metric_names():
        assert f"`{name}`" in PAGE, name
