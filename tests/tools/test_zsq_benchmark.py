"""The zero-shot benchmark on its smallest network: both protocols, the baselines, and resuming."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "bench" / "zsq_benchmark.py"
LINE = ["--quick", "-c", "moments", "-c", "random", "-r", "nearest", "-r", "gptq", "-b", "w8a8"]


@pytest.mark.assets
@pytest.mark.slow
def test_it_measures_resumes_and_tells_obstacles(tmp_path: Path) -> None:
    line = [sys.executable, str(SCRIPT), *LINE, "--work", str(tmp_path)]
    first = subprocess.run(line, capture_output=True, text=True, check=True)
    results = json.loads((tmp_path / "zsq.json").read_text())
    assert len(results) == 8
    measured = [entry for entry in results if not entry["obstacle"]]
    assert {entry["cell"]["protocol"] for entry in measured} == {"deployable", "literature"}
    assert all(entry["float_top1"] == 88.1 for entry in measured)
    assert "moments" in first.stdout and "Not measured:" in first.stdout
    moments = [entry for entry in measured if entry["cell"]["source"]["calibrator"] == "moments"]
    assert all(entry["top1"] > 86 for entry in moments)
    assert (tmp_path / "zsq.svg").read_text().startswith("<svg")
    again = subprocess.run(line, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout and "measure" not in again.stderr
