"""``report.html``: one self-contained page for one artifact, or for all targets of one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from zsq_export.atomic import write_file
from zsq_export.reporting import wording
from zsq_export.reporting.sections import confusions, facts, fidelity, inside, speed, verdict, worth
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.figures import InputOrigin

_SIGNS = {"warning": "!", "note": "i", "good": "✓"}
_OUTCOME_SIGNS = {"passed": "✓", "failed": "✕", "warned": "!", "clear": "✓"}


def render_html(entries: Sequence[Entry]) -> str:
    """The page as text; the same reports give the same bytes.

    Args:
        entries: at least one; all of one float model.
    """
    reports = [entry.report for entry in entries]
    return _environment().get_template("page.html").render(
        entries=entries,
        several=len(entries) > 1,
        model=reports[0].model,
        headline=verdict.headline(entries),
        highlights=verdict.highlights(entries),
        verdicts=[verdict.verdict_of(report) for report in reports],
        facts=[facts.facts_of(report) for report in reports],
        findings=verdict.shared_findings(entries),
        descriptions=list(dict.fromkeys(report.inputs.description for report in reports)),
        synthetic=all(report.inputs.origin is InputOrigin.SYNTHETIC for report in reports),
        worth=worth.worth_rows(entries),
        fidelity=fidelity.fidelity_groups(entries),
        speed=speed.speed_section(entries),
        layer_picture=inside.layer_picture(entries),
        layers=inside.with_layers(entries),
        ranges=inside.range_pictures(entries),
        pictures=_pictures(entries),
        precisions=inside.precision_rows(entries),
        float_groups=inside.float_groups(entries),
        confusions=confusions.confusion_views(entries),
        sizes=facts.size_rows(entries),
        provenance=facts.provenance_rows(entries),
        signs=_SIGNS,
        outcome_signs=_OUTCOME_SIGNS,
    )  # fmt: skip


def write_html(entries: Sequence[Entry], path: Path) -> None:
    """Writes the page whole or not at all, in place of an earlier one."""
    write_file(path, render_html(entries).encode(), overwrite=True)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("zsq_export.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        decibels=wording.decibels, milliseconds=wording.milliseconds, percent=wording.percent, share=wording.share
    )
    return environment


def _pictures(entries: Sequence[Entry]) -> list[tuple[str, Entry]]:
    """Labels of the artifacts and one of them, for every different set of thumbnails."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.pictures is not None:
            groups.setdefault(entry.pictures_key, []).append(entry)
    return [(", ".join(entry.label for entry in group), group[0]) for group in groups.values()]
