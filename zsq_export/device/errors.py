"""The one exception of a bundle's runner; it becomes one line on the standard error."""

from __future__ import annotations

ERROR, USAGE, UNAVAILABLE = 1, 2, 4
"""Exit codes, as those of ``zsq-export``: 4 means that the target's runtime or device is missing."""


class DeviceError(Exception):
    """Something that a person can act on.

    Args:
        message: what is wrong and what to do.
        exit_code: of the process.
    """

    def __init__(self, message: str, *, exit_code: int = ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def one_line(error: Exception, *, last: bool = False) -> str:
    """What is wrong, out of a runtime's message: its first line, or its last one where source positions go before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1 if last else 0] if lines else type(error).__name__
