"""``zsq-export report``."""

from __future__ import annotations

from pathlib import Path

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options, folder_path


@click.command(short_help="Show the report of an earlier validate, or compare all targets on one page.")
@click.argument("folder", metavar="ARTIFACT", type=folder_path)
@console_options
def command(*, folder: Path, console: Console) -> None:
    """Show the report that `validate` left in ARTIFACT, without measuring again.

    Given a folder that holds one artifact per target, write one page, report.html, that compares all of them.
    """
    from zsq_export.pages import holds_several

    if holds_several(folder):
        _compare(folder, console)
    else:
        _show(folder, console)


def _show(folder: Path, console: Console) -> None:
    from zsq_export.artifact import REPORT_NAMES, read_artifact
    from zsq_export.errors import ArtifactError
    from zsq_export.pages import write_page
    from zsq_export.reporting.report_json import read_report, report_to_dict

    read_artifact(folder)
    path = folder / REPORT_NAMES[0]
    if not path.is_file():
        raise ArtifactError(f"{folder} has no report yet", hint=f"measure it with `zsq-export validate {folder}`")
    report = read_report(path)
    page = write_page(folder, report)
    console.result(lambda: report_to_dict(report), lambda: console.report(report))
    console.say(f"page: {page}")


def _compare(folder: Path, console: Console) -> None:
    from zsq_export.cli.wording import COMPARISON_COLUMNS, comparison_row
    from zsq_export.pages import write_comparison
    from zsq_export.reporting.report_json import report_to_dict

    comparison = write_comparison(folder)
    console.result(
        lambda: {"page": str(comparison.page), "reports": [report_to_dict(report) for report in comparison.reports]},
        lambda: console.table(
            COMPARISON_COLUMNS,
            [comparison_row(report) for report in comparison.reports],
        ),
    )
    console.say("* with the float model, on the inputs that each was validated on")
    for path in comparison.missing:
        console.say(f"not validated yet: {path}")
    console.say(f"page: {comparison.page}")
