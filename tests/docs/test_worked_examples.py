"""The worked examples of the contributors' guide run as they stand on the page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from digits import DigitsModel

PAGES = Path(__file__).resolve().parents[2] / "docs" / "contributing"
FILE = re.compile(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def _commands(page: str) -> list[str]:
    lines = [line for block in CONSOLE.findall(page) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def _install(folder: Path) -> None:
    """What ``pip install .`` leaves for the discovery of entry points, with no registry asked."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    header = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(header)
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))


def _run(command: str, folder: Path) -> None:
    scripts = str(Path(sys.executable).parent)
    environment = {
        **os.environ, "PYTHONPATH": str(folder), "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"
    }  # fmt: skip
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        command.split(), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md")))
def test_page_runs(page: str, tmp_path: Path, digits_model: DigitsModel) -> None:
    text = (PAGES / page).read_text()
    for name, content in FILE.findall(text):
        (tmp_path / name).write_text(content)
    shutil.copy(digits_model.path, tmp_path / "digits.onnx")
    commands = _commands(text)
    assert commands
    for command in commands:
        if command == "pip install .":
            _install(tmp_path)
        else:
            _run(command, tmp_path)
