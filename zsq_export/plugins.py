"""Parts that another distribution can add: discovery by entry point."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from zsq_export.errors import UsageError, ZsqError
from zsq_export.suggestions import did_you_mean


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The classes registered under one entry-point group.

    Attributes:
        group: name of the entry-point group, as in ``[project.entry-points."<group>"]``.
        kind: what one entry is, for messages ("target", "calibrator").
    """

    group: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """Registered names, sorted; imports none of them."""
        return tuple(sorted(self._entries()))

    def get(self, name: str) -> Any:
        """A new instance of what is registered as ``name``.

        Raises:
            UsageError: no such name; the hint has the nearest one.
            ZsqError: it is registered, but its module cannot be imported.
        """
        entries = self._entries()
        if name not in entries:
            raise UsageError(f"there is no {self.kind} {name!r}", hint=did_you_mean(name, entries))
        try:
            return entries[name].load()()
        except (ImportError, AttributeError) as error:
            raise ZsqError(
                f"the {self.kind} {name!r} ({entries[name].value}) cannot be loaded: {error}",
                hint="reinstall the package that provides it",
            ) from error

    def _entries(self) -> dict[str, EntryPoint]:
        """Name -> entry point. Of two with one name the project's own wins, so that a plugin cannot replace it."""
        found = sorted(entry_points(group=self.group), key=lambda entry: not entry.value.startswith("zsq_export."))
        entries: dict[str, EntryPoint] = {}
        for entry in found:
            entries.setdefault(entry.name, entry)
        return entries
