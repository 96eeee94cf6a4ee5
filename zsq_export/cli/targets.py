"""``zsq-export targets``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options

if TYPE_CHECKING:
    from zsq_export.listing import Target


@click.command(short_help="List the targets and which of them run here.")
@console_options
def command(*, console: Console) -> None:
    """List the targets, and which of them can run here."""
    from zsq_export.listing import list_targets

    targets = list_targets()
    console.result(lambda: {"targets": [asdict(target) for target in targets]}, lambda: _print(targets, console))


def _print(targets: tuple[Target, ...], console: Console) -> None:
    rows = [
        (
            target.name,
            "yes" if target.probe.available else "no",
            target.probe.runtime or "missing",
            target.probe.int8_hardware or "unknown",
            target.probe.hint or target.summary,
        )
        for target in targets
    ]
    console.table(("target", "runs here", "runtime", "int8 hardware", ""), rows)
