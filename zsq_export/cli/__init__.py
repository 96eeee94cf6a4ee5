"""The command line: one file per command."""

from __future__ import annotations

import signal
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: without the program's name; None: those of the process.

    Returns:
        The exit code, see :mod:`zsq_export.cli.entry`.
    """
    # Nothing is written before the handlers of the entry are in place: until then Ctrl-C needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from zsq_export.cli.entry import run

    return run(arguments)
