"""The target from the shell, where it cannot work: one line, its exit code, no file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from onnx_graphs import node, proto, weights, write

from zsq_export.cli import main

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, proto([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 1, 1)}))
    return tmp_path


def _without_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "ai_edge_litert"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)


def _convert(*options: str) -> int:
    return main(["convert", "model.onnx", "-t", "tflite", "--calibrator", "random", "-o", "out", *options])


def _only_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert captured.out == "" and len(lines) == 1 and lines[0].startswith("error: "), captured
    return lines[0]


def test_convert_without_the_runtime(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_litert(monkeypatch)
    assert _convert() == 4
    assert "pip install zsq-export[tflite]" in _only_line(capsys)
    assert [path.name for path in work.iterdir()] == ["model.onnx"]


def test_validate_without_the_runtime(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _convert("-q") == 0
    before = sorted(path.name for path in (work / "out").iterdir())
    assert "model.tflite" in before
    capsys.readouterr()
    _without_litert(monkeypatch)
    assert main(["validate", "out"]) == 4
    assert "pip install zsq-export[tflite]" in _only_line(capsys)
    assert sorted(path.name for path in (work / "out").iterdir()) == before


def test_an_unsupported_op(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(work, proto([node("CumSum", ["x", "axis"], "y", "total")], {"axis": weights(1)[0].astype("int64")}))
    assert _convert() == 1
    line = _only_line(capsys)
    assert "'total'" in line and "CumSum" in line
    assert [path.name for path in work.iterdir()] == ["model.onnx"]


def test_a_file_that_would_be_too_large(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zsq_export.backends.tflite_edge import writer

    monkeypatch.setattr(writer, "LIMIT", 8)
    assert _convert() == 1
    assert "one .tflite file holds at most 8" in _only_line(capsys)
    assert [path.name for path in work.iterdir()] == ["model.onnx"]
