"""Where output goes: JSON to stdout, everything else to stderr, progress bars only to a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zsq_export.progress import Progress
    from zsq_export.validation.report_types import ValidationReport

_PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


@dataclass(frozen=True, kw_only=True)
class Console:
    """The output streams of one command.

    Attributes:
        as_json: the result goes to stdout as JSON instead of to stderr as text.
        verbose: details, too.
        quiet: errors and the result only.
    """

    as_json: bool = False
    verbose: bool = False
    quiet: bool = False

    def say(self, text: str = "") -> None:
        """A line for people; not with --quiet."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def detail(self, text: str) -> None:
        """A line that only --verbose shows."""
        if self.verbose:
            print(text, file=sys.stderr)

    def result(self, payload: Callable[[], Any], text: Callable[[], None]) -> None:
        """The result of the command: JSON on stdout with --json, else what ``text`` prints to stderr."""
        if self.as_json:
            print(json.dumps(payload(), indent=2, allow_nan=False, default=str))
        else:
            text()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A plain table on stderr, as wide as the terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        width = None if sys.stderr.isatty() else _PLAIN_WIDTH
        RichConsole(stderr=True, highlight=False, width=width).print(table)

    def report(self, report: ValidationReport) -> None:
        """A validation report as tables on stderr."""
        from rich.console import Console as RichConsole

        from zsq_export.reporting.terminal import print_report

        print_report(report, RichConsole(stderr=True, width=None if sys.stderr.isatty() else _PLAIN_WIDTH))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A sink that draws a bar on a terminal, prints stages with --verbose, and is silent otherwise."""
        if self.quiet or not sys.stderr.isatty():
            yield _Stages(self)
            return
        from rich import progress
        from rich.console import Console as RichConsole

        columns = (
            progress.TextColumn("{task.description}"), progress.BarColumn(bar_width=30), progress.TimeElapsedColumn()
        )  # fmt: skip
        with progress.Progress(*columns, console=RichConsole(stderr=True), transient=True) as bars:
            task = bars.add_task("", total=None)

            def show(message: str, done: float | None) -> None:
                bars.update(task, description=message, total=None if done is None else 1.0, completed=done or 0.0)

            yield show


class _Stages:
    """Prints each new stage once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def __call__(self, message: str, _done: float | None) -> None:
        if message != self._last:
            self._console.detail(message)
        self._last = message
