"""The benchmark scripts: each starts, and what is taken to another machine is whole."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "tools" / "bench"
OPTIONAL = {"nncf", "openvino", "ai_edge_litert", "tensorrt", "tensorrt_rtx", "scipy"}
MODULES = {path.name: path.read_text() for path in sorted(BENCH.glob("*.py"))}
STARTED = [name for name, text in MODULES.items() if "__main__" in text]
STAGED = [name for name, text in MODULES.items() if "\nSCRIPTS = (" in text]


@pytest.mark.parametrize("name", STARTED)
def test_it_says_how_it_is_used(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises((SystemExit, ModuleNotFoundError)) as stopped:
        runpy.run_path(str(BENCH / name), run_name="__main__")
    if isinstance(stopped.value, ModuleNotFoundError) and stopped.value.name in OPTIONAL:
        pytest.skip(f"{stopped.value.name} is not installed")
    assert isinstance(stopped.value, SystemExit) and not stopped.value.code
    assert f"usage: {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", STAGED)
def test_nothing_that_a_staged_script_imports_stays_behind(name: str) -> None:
    tree = ast.parse(MODULES[name])
    (scripts,) = (
        ast.literal_eval(item.value) for item in tree.body
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name) and item.targets[0].id == "SCRIPTS"
    )  # fmt: skip
    needed = {module for script in scripts for module in _imported(MODULES[script])}
    assert name in scripts and {f"{module}.py" for module in needed} & set(MODULES) <= set(scripts)


def _imported(text: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(text)))
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return named | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
