"""Versions of this package and of what it runs on, looked up without importing anything."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """Version of zsq-export; "0+unknown" where it is not installed."""
    return package_version("zsq-export") or "0+unknown"


def package_version(name: str) -> str:
    """Version of an installed distribution, "" if it is missing."""
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return ""
