"""``zsq-export report``."""

from __future__ import annotations

from pathlib import Path

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options, folder_path


@click.command(short_help="Show the report of an earlier validate.")
@click.argument("artifact", type=folder_path)
@console_options
def command(*, artifact: Path, console: Console) -> None:
    """Show the report that `validate` left in ARTIFACT, without measuring again."""
    from zsq_export.artifact import REPORT_NAMES, read_artifact
    from zsq_export.errors import ArtifactError
    from zsq_export.reporting.report_json import read_report, report_to_dict

    read_artifact(artifact)
    path = artifact / REPORT_NAMES[0]
    if not path.is_file():
        raise ArtifactError(f"{artifact} has no report yet", hint=f"measure it with `zsq-export validate {artifact}`")
    report = read_report(path)
    console.result(lambda: report_to_dict(report), lambda: console.report(report))
    console.say(f"page: {artifact / REPORT_NAMES[1]}")
