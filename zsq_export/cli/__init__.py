"""The command line: one file per command."""

from zsq_export.cli.entry import main

__all__ = ["main"]
