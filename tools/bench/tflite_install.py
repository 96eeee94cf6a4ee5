"""What the extra ``tflite`` adds to an installation, read from the metadata of the packages installed here."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

PROJECT, EXTRA = "zsq-export", "tflite"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def installed_megabytes() -> float:
    """Sum over the extra's packages, with dependencies, that the core does not have anyway; 10^6 bytes."""
    core, whole = _closure(PROJECT, extra=""), _closure(PROJECT, extra=EXTRA)
    sizes = {name: _size(name) for name in sorted(whole - core)}
    for name, size in sizes.items():
        print(f"      {name} {metadata.version(name)}: {size / 1e6:.1f} MB")
    return sum(sizes.values()) / 1e6


def _closure(name: str, *, extra: str) -> set[str]:
    """Names of a package's dependencies, and of theirs; the package itself is none."""
    found: set[str] = set()
    pending = _required(name, extra)
    while pending:
        each = pending.pop()
        if each not in found:
            found.add(each)
            pending += _required(each, "")
    return found


def _required(name: str, extra: str) -> list[str]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    requirements = [Requirement(line) for line in lines]
    wanted = [item for item in requirements if item.marker is None or item.marker.evaluate({"extra": extra})]
    return [_canonical(item.name) for item in wanted if _canonical(item.name) != _canonical(PROJECT)]


def _canonical(name: str) -> str:
    matched = _NAME.match(name)
    assert matched is not None
    return re.sub(r"[-_.]+", "-", matched.group()).lower()


def _size(name: str) -> int:
    files = metadata.files(name) or []
    paths = {Path(str(item.locate())) for item in files}
    return sum(path.stat().st_size for path in paths if path.is_file())
