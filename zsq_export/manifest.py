"""The manifest of an artifact: what it is, how it was made, and the sha256 of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from zsq_export.calib.base import Provenance
from zsq_export.errors import ArtifactError, ZsqError
from zsq_export.preprocessing import Preprocessing
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind, Confidence, EstimatePart

MANIFEST_SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of the artifact: name relative to the folder (with /), bytes, sha256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """The float model that the artifact was made from, and where it was then.

    Attributes:
        name: file name.
        path: absolute path.
        sha256: in hex, see :func:`zsq_export.graph.source.source_file`.
        size: bytes, external data included.
    """

    name: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class TensorRecord:
    """A graph input or output: name and dimensions, None where symbolic."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an artifact is and how it was made. Holds no time and no process id: same seed, same bytes.

    Attributes:
        target: registered name of the backend.
        entry: lowered file to open.
        lowered: all files that the backend wrote, ``entry`` first.
        model: the float model.
        seed: of calibration.
        options: the effective options of the conversion, as (name, value) pairs.
        versions: of zsq-export and of the runtimes that took part.
        calibration: where the statistics came from.
        preprocessing: the input convention, if the input is a picture.
        inputs, outputs: of the graph.
        files: every file but the manifest and the reports.
        notes: what a person should know before relying on it.
        estimate: agreement with the float model on real data, predicted without any; None where it was not.
    """

    target: str
    entry: str
    lowered: tuple[str, ...]
    model: ModelRecord
    seed: int
    options: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    calibration: Provenance
    preprocessing: Preprocessing | None
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    files: tuple[FileRecord, ...]
    notes: tuple[str, ...] = ()
    estimate: AgreementEstimate | None = None
    schema_version: int = MANIFEST_SCHEMA_VERSION

    def to_json(self) -> str:
        """The manifest as JSON text with sorted keys; pairs become objects."""
        raw = asdict(self)
        for record, name in ((raw, "options"), (raw, "versions"), (raw["calibration"], "settings")):
            record[name] = dict(record[name])
        raw["calibration"]["final_losses"] = dict(raw["calibration"]["final_losses"])
        if self.estimate is None:
            del raw["estimate"]
        return json.dumps(raw, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Manifest:
        """Builds the manifest from parsed JSON.

        Raises:
            ArtifactError: a field is missing or of the wrong type, or the schema is a newer one.
        """
        if raw.get("schema_version") != MANIFEST_SCHEMA_VERSION:
            raise ArtifactError(
                f"the manifest has schema {raw.get('schema_version')!r}, this version reads {MANIFEST_SCHEMA_VERSION}",
                hint="convert the model again, or use the version of zsq-export that made it",
            )
        try:
            return cls(
                target=str(raw["target"]),
                entry=str(raw["entry"]),
                lowered=tuple(map(str, raw["lowered"])),
                model=ModelRecord(**raw["model"]),
                seed=int(raw["seed"]),
                options=_pairs(raw["options"]),
                versions=_pairs(raw["versions"]),
                calibration=provenance_from_dict(raw["calibration"]),
                preprocessing=Preprocessing.from_dict(raw["preprocessing"]) if raw["preprocessing"] else None,
                inputs=tuple(_tensor(entry) for entry in raw["inputs"]),
                outputs=tuple(_tensor(entry) for entry in raw["outputs"]),
                files=tuple(FileRecord(**entry) for entry in raw["files"]),
                notes=tuple(map(str, raw.get("notes", ()))),
                estimate=estimate_from_dict(raw["estimate"]) if raw.get("estimate") else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, ZsqError) as error:
            raise ArtifactError(f"the manifest is not valid: {error!r}", hint="convert the model again") from error


def provenance_from_dict(raw: Mapping[str, Any]) -> Provenance:
    """Builds the provenance from parsed JSON; raises KeyError, TypeError or ValueError where it does not fit."""
    return Provenance(
        calibrator=str(raw["calibrator"]),
        seed=int(raw["seed"]),
        samples=int(raw["samples"]),
        settings=_pairs(raw["settings"]),
        final_losses=tuple((str(name), float(value)) for name, value in raw["final_losses"].items()),
        notes=tuple(map(str, raw["notes"])),
    )


def estimate_from_dict(raw: Mapping[str, Any]) -> AgreementEstimate:
    """Builds the estimate from parsed JSON; raises KeyError, TypeError or ValueError where it does not fit."""
    numbers = {name: _number(raw[name]) for name in ("percent", "low", "high", "coverage")}
    texts = {
        "kind": AgreementKind(raw["kind"]),
        "confidence": Confidence(raw["confidence"]),
        "reasons": tuple(map(str, raw["reasons"])),
        "parts": tuple(EstimatePart(**part) for part in raw["parts"]),
    }
    return AgreementEstimate(**{**raw, **numbers, **texts})


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _pairs(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in raw.items())


def _tensor(raw: Mapping[str, Any]) -> TensorRecord:
    return TensorRecord(name=str(raw["name"]), shape=tuple(raw["shape"]))
