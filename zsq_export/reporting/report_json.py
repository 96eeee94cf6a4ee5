"""``report.json``: the report for programs, with a versioned schema in ``report.schema.json``."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, cast

from zsq_export.atomic import write_file
from zsq_export.errors import ArtifactError
from zsq_export.plain import from_plain, to_plain
from zsq_export.validation.report_types import REPORT_SCHEMA_VERSION, ValidationReport


def report_to_dict(report: ValidationReport) -> dict[str, Any]:
    """The report as JSON values: the fields of :class:`ValidationReport`, and ``passed`` (no gate failed).

    ``provenance`` becomes an object. ``validate --json`` prints the same.
    """
    plain = to_plain(report)
    plain["provenance"] = dict(report.provenance)
    return {"schema_version": plain.pop("schema_version"), "passed": report.passed, **plain}


def report_from_dict(raw: Any, *, name: str = "the report") -> ValidationReport:
    """Builds the report from parsed JSON.

    Args:
        raw: as :func:`report_to_dict` gives it.
        name: of the file, for messages.

    Raises:
        ArtifactError: it is no report, or one of another schema version.
    """
    if not isinstance(raw, dict) or "schema_version" not in raw:
        raise ArtifactError(f"{name} is no validation report", hint="expected what `zsq-export validate` wrote")
    if raw["schema_version"] != REPORT_SCHEMA_VERSION:
        raise ArtifactError(
            f"{name} has schema version {raw['schema_version']!r}, this version reads {REPORT_SCHEMA_VERSION}",
            hint="validate again with this version",
        )
    known = {key: value for key, value in raw.items() if key != "passed"}
    try:
        known["provenance"] = [list(pair) for pair in known["provenance"].items()]
        return from_plain(ValidationReport, known)
    except (KeyError, AttributeError, ValueError) as error:
        raise ArtifactError(f"{name} is no valid report: {error}", hint="validate again") from error


def report_to_json(report: ValidationReport) -> str:
    """The report as JSON text."""
    return json.dumps(report_to_dict(report), indent=2) + "\n"


def write_report(report: ValidationReport, path: Path) -> None:
    """Writes ``report.json`` whole or not at all, in place of an earlier one."""
    write_file(path, report_to_json(report).encode(), overwrite=True)


def read_report(path: Path) -> ValidationReport:
    """Reads ``report.json``.

    Raises:
        ArtifactError: the file is missing, no JSON, or no report of this schema version.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read the report {path}: {error}", hint="run `zsq-export validate`") from error
    return report_from_dict(raw, name=str(path))


def report_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``report.json``."""
    text = resources.files("zsq_export.reporting").joinpath("report.schema.json").read_text()
    return cast(dict[str, Any], json.loads(text))
