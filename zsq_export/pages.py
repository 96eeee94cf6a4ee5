"""Pages on the disk: ``report.html`` of one artifact, or of all artifacts of one model in a folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from zsq_export.artifact import REPORT_NAMES, list_artifacts
from zsq_export.errors import ArtifactError
from zsq_export.reporting.html import write_html
from zsq_export.reporting.report_json import read_report
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.report_types import ValidationReport

_JSON_NAME, PAGE_NAME = REPORT_NAMES


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A page about several artifacts.

    Attributes:
        page: the file.
        reports: on it, in the order of their folders.
        missing: artifacts in the folder that were not validated yet.
    """

    page: Path
    reports: tuple[ValidationReport, ...]
    missing: tuple[Path, ...]


def write_page(folder: Path, report: ValidationReport) -> Path:
    """Writes the page of one artifact from its report and the thumbnails that lie beside it."""
    page = folder / PAGE_NAME
    write_html([_entry(folder, report, report.target, 0)], page)
    return page


def holds_several(folder: Path) -> bool:
    """Whether a folder is one of artifacts and no artifact itself."""
    return bool(list_artifacts(folder)) and not (folder / "manifest.json").exists()


def write_comparison(folder: Path) -> Comparison:
    """Writes one page about every artifact in a folder that has been validated.

    Raises:
        ArtifactError: none has been, a report cannot be read, or they are of different float models.
    """
    artifacts = list_artifacts(folder)
    measured = tuple(path for path in artifacts if (path / _JSON_NAME).is_file())
    if not measured:
        raise ArtifactError(
            f"no artifact in {folder} has a report yet", hint=f"measure one with `zsq-export validate {artifacts[0]}`"
        )
    reports = tuple(read_report(path / _JSON_NAME) for path in measured)
    _require_one_model(folder, measured, reports)
    targets = Counter(report.target for report in reports)
    entries = [
        _entry(path, report, report.target if targets[report.target] == 1 else path.name, index)
        for index, (path, report) in enumerate(zip(measured, reports, strict=True))
    ]
    write_html(entries, folder / PAGE_NAME)
    missing = tuple(path for path in artifacts if path not in measured)
    return Comparison(page=folder / PAGE_NAME, reports=reports, missing=missing)


def _entry(folder: Path, report: ValidationReport, label: str, index: int) -> Entry:
    pictures = None if report.pictures is None else folder / Path(report.pictures).name
    content = pictures.read_bytes() if pictures is not None and pictures.is_file() else None
    return Entry(label=label, report=report, pictures=content, index=index)


def _require_one_model(folder: Path, paths: tuple[Path, ...], reports: tuple[ValidationReport, ...]) -> None:
    for path, report in zip(paths, reports, strict=True):
        if report.model_sha256 != reports[0].model_sha256:
            raise ArtifactError(
                f"{folder} holds artifacts of different models: {paths[0].name} of {reports[0].model}, "
                f"{path.name} of {report.model}",
                hint="one page compares the targets of one model; keep each model in a folder of its own",
            )
