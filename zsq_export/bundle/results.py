"""What ``run.py`` printed on a device, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zsq_export.device.results import RESULTS_VERSION, DeviceResults
from zsq_export.errors import DataError
from zsq_export.plain import from_plain

_HINT = "expected what `python run.py --json` printed on the device"


def read_results(path: Path) -> DeviceResults:
    """Reads a results file.

    Raises:
        DataError: it cannot be read, is none, is damaged, or is of another version.
    """
    try:
        raw = json.loads(path.read_text())
    except OSError as error:
        raise DataError(f"cannot read the results {path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}", hint=_HINT) from error
    return results_from_dict(raw, name=str(path))


def results_from_dict(raw: Any, *, name: str) -> DeviceResults:
    """Builds the results from parsed JSON.

    Args:
        raw: as ``run.py --json`` gives it.
        name: of the file, for messages.

    Raises:
        DataError: see :func:`read_results`.
    """
    if not isinstance(raw, dict) or "results_version" not in raw:
        raise DataError(f"{name} holds no results of a device", hint=_HINT)
    if raw["results_version"] != RESULTS_VERSION:
        raise DataError(
            f"{name} has version {raw['results_version']!r}, this program reads {RESULTS_VERSION}",
            hint="make a new bundle and run it again",
        )
    try:
        return from_plain(DeviceResults, raw, "results")
    except ValueError as error:
        raise DataError(f"{name} is damaged: {error}", hint="copy it again from the device") from error
