"""What an artifact keeps of its calibration: the ranges that were seen, and some of the inputs to look at."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zsq_export.calib.base import CalibrationResult
from zsq_export.calib.data import DataCalibrator
from zsq_export.errors import ArtifactError
from zsq_export.planning.plan import Plan, Role
from zsq_export.reporting.contact_sheet import contact_sheet

RANGES_NAME, PICTURES_NAME = "seen.json", "inputs.png"
_SCHEMA_VERSION = 1
_DIGITS = 7

Seen = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """What :func:`write_calibration_record` left in a folder.

    Attributes:
        seen: tensor name -> smallest and largest value seen (or derived) in calibration; of quantized activations.
        pictures: file with thumbnails of the synthetic inputs; None if there is none.
    """

    seen: Seen
    pictures: Path | None


def write_calibration_record(folder: Path, calibration: CalibrationResult, plan: Plan) -> None:
    """Writes ``seen.json``, and ``inputs.png`` where the inputs are synthetic; real data is never kept.

    Args:
        folder: of the artifact.
        calibration: statistics may be empty where the plan was given.
        plan: whose activations are recorded.
    """
    names = [tensor.tensor for tensor in plan.tensors if tensor.role is Role.ACTIVATION]
    seen = {
        name: [_rounded(calibration.statistics[name].minimum), _rounded(calibration.statistics[name].maximum)]
        for name in names
        if name in calibration.statistics
    }
    content = {"schema_version": _SCHEMA_VERSION, "seen": seen}
    (folder / RANGES_NAME).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    if calibration.provenance.calibrator != DataCalibrator.name:
        sheet = contact_sheet(calibration.inputs, calibration.preprocessing)
        if sheet is not None:
            (folder / PICTURES_NAME).write_bytes(sheet)


def read_calibration_record(folder: Path) -> CalibrationRecord:
    """Reads it; an artifact of an earlier version has none, which gives an empty record.

    Raises:
        ArtifactError: the file is damaged.
    """
    path, pictures = folder / RANGES_NAME, folder / PICTURES_NAME
    seen: Seen = {}
    if path.is_file():
        try:
            raw = json.loads(path.read_text())["seen"]
            seen = {str(name): (float(low), float(high)) for name, (low, high) in raw.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path} is damaged: {error!r}", hint="convert the model again") from error
    return CalibrationRecord(seen=seen, pictures=pictures if pictures.is_file() else None)


def _rounded(value: float) -> float:
    """Seven digits, all that a float32 has; infinity, which JSON has not, as the largest float."""
    if not math.isfinite(value):
        return math.copysign(3.4028234e38, value)
    return float(f"{value:.{_DIGITS}g}")
