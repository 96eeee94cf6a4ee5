"""A calibration on the disk: statistics, inputs, preprocessing and provenance in one .npz file.

The member ``header`` is UTF-8 JSON; ``input.<i>`` and ``<field>.<i>`` are the arrays of the i-th input and tensor
that it names. Written by NumPy, which stamps no time: same calibration, same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.atomic import write_file
from zsq_export.calib.base import CalibrationResult, Provenance
from zsq_export.errors import CalibrationError, UsageError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import Preprocessing
from zsq_export.quantization.statistics import Histogram, TensorStatistics

SCHEMA_VERSION = 1
_SCALARS = ("minimum", "maximum", "channel_axis", "samples")
_ARRAYS = (
    "sample_minimum",
    "sample_maximum",
    "channel_minimum",
    "channel_maximum",
    "channel_mean",
    "channel_variance",
)


def save_calibration(result: CalibrationResult, path: Path, model: PreparedModel, *, overwrite: bool = False) -> None:
    """Writes a calibration to one file, whole or not at all.

    Args:
        result: what to keep.
        path: of the file; any ending.
        model: that the calibration was made for; its sha256 is kept.
        overwrite: replace an existing file.

    Raises:
        ArtifactError: the file exists and ``overwrite`` is false.
    """
    arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(_header(result, model).encode(), np.uint8)}
    for index, values in enumerate(result.inputs.values()):
        arrays[f"input.{index}"] = values
    for index, statistics in enumerate(result.statistics.values()):
        arrays |= {f"{field}.{index}": getattr(statistics, field) for field in _ARRAYS}
        arrays[f"counts.{index}"] = statistics.histogram.counts
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for one of the arrays
    write_file(path, buffer.getvalue(), overwrite=overwrite)


def load_calibration(path: Path, model: PreparedModel) -> CalibrationResult:
    """Reads what :func:`save_calibration` wrote.

    Raises:
        CalibrationError: the file cannot be read, is damaged, or belongs to another model.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            _check_header(header, path, model)
            return _result(header, archive)
    except OSError as error:
        raise CalibrationError(f"cannot read the calibration {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile, UsageError) as error:
        raise CalibrationError(
            f"{path} is not a saved calibration, or it is damaged: {error}",
            hint="make one with `zsq-export calibrate MODEL -o FILE`",
        ) from error


def _header(result: CalibrationResult, model: PreparedModel) -> str:
    tensors = [
        {"name": name, "limit": entry.histogram.limit} | {field: getattr(entry, field) for field in _SCALARS}
        for name, entry in result.statistics.items()
    ]
    header = {
        "schema_version": SCHEMA_VERSION,
        "model_sha256": model.source.sha256,
        "model_name": model.source.path.name,
        "provenance": asdict(result.provenance),
        "preprocessing": asdict(result.preprocessing) if result.preprocessing else None,
        "inputs": list(result.inputs),
        "tensors": tensors,
    }
    return json.dumps(header, indent=1, sort_keys=True)


def _check_header(header: Mapping[str, Any], path: Path, model: PreparedModel) -> None:
    if header["schema_version"] != SCHEMA_VERSION:
        raise CalibrationError(
            f"{path} has schema {header['schema_version']!r}, this version reads {SCHEMA_VERSION}",
            hint="calibrate again",
        )
    if header["model_sha256"] != model.source.sha256:
        raise CalibrationError(
            f"{path} was made for another model ({header['model_name']}; its sha256 differs)",
            hint=f"calibrate {model.source.path.name} again with `zsq-export calibrate`",
        )


def _result(header: Mapping[str, Any], archive: Mapping[str, NDArray[Any]]) -> CalibrationResult:
    return CalibrationResult(
        statistics={entry["name"]: _statistics(entry, index, archive) for index, entry in enumerate(header["tensors"])},
        inputs={name: archive[f"input.{index}"] for index, name in enumerate(header["inputs"])},
        preprocessing=Preprocessing.from_dict(header["preprocessing"]) if header["preprocessing"] else None,
        provenance=_provenance(header["provenance"]),
    )


def _statistics(entry: Mapping[str, Any], index: int, archive: Mapping[str, NDArray[Any]]) -> TensorStatistics:
    fields: dict[str, Any] = {field: entry[field] for field in _SCALARS}
    fields |= {field: archive[f"{field}.{index}"] for field in _ARRAYS}
    return TensorStatistics(
        **fields,
        histogram=Histogram(counts=archive[f"counts.{index}"], limit=entry["limit"]),
    )


def _provenance(raw: Mapping[str, Any]) -> Provenance:
    return Provenance(
        calibrator=raw["calibrator"],
        seed=raw["seed"],
        samples=raw["samples"],
        settings=tuple((name, value) for name, value in raw["settings"]),
        final_losses=tuple((name, value) for name, value in raw["final_losses"]),
        notes=tuple(raw["notes"]),
    )
