"""How work that takes long tells its caller what it is doing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float | None], None]
"""Called with what is being done and the fraction done (None: unknown)."""


def silent(_message: str, _done: float | None) -> None:
    """For a caller who wants to hear nothing."""
