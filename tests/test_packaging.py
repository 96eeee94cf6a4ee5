"""What pyproject.toml says of the package agrees with the tree."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
MAPPED = {"zsq_export": "zsq_export", "backends": "zsq_export.backends", "calib": "zsq_export.calib"}
ENTRY_POINTS = [
    value for group in PYPROJECT["project"].get("entry-points", {}).values() for value in group.values()
] + list(PYPROJECT["project"]["scripts"].values())


def _packages_in_tree() -> set[str]:
    found = set()
    for folder, package in MAPPED.items():
        for file in (REPOSITORY / folder).rglob("*.py"):
            inside = file.parent.relative_to(REPOSITORY / folder).parts
            found.add(".".join((package, *inside)))
    return found


def test_every_folder_with_code_is_packaged() -> None:
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == _packages_in_tree()


@pytest.mark.parametrize("value", ENTRY_POINTS)
def test_entry_point_exists(value: str) -> None:
    module, _, name = value.partition(":")
    assert callable(getattr(import_module(module), name))


def test_every_data_file_is_packaged() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    for folder, package in MAPPED.items():
        for file in (REPOSITORY / folder).rglob("*"):
            if file.is_dir() or file.suffix in {".py", ".pyc"}:
                continue
            inside = ".".join((package, *file.parent.relative_to(REPOSITORY / folder).parts))
            assert any(file.match(pattern) for pattern in patterns.get(inside, ())), f"{file} is in no wheel"


def test_constraints_pin_what_the_package_needs() -> None:
    pinned = {line.partition("==")[0] for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    assert {"torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "openvino", "numpy"} <= pinned
