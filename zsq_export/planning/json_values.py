"""Typed reading of parsed JSON: every mistake is a PlanError that says where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zsq_export.errors import PlanError

_HINT = "compare with a plan written by `zsq-export plan`"


@dataclass(frozen=True, kw_only=True)
class JsonValue:
    """A value and its place.

    Attributes:
        raw: as the json module parsed it.
        path: such as ``$.tensors[3].scale``.
    """

    raw: Any
    path: str = "$"

    def object(self, required: frozenset[str], optional: frozenset[str] = frozenset()) -> dict[str, JsonValue]:
        """The members of an object.

        Raises:
            PlanError: it is none, a required key is missing, or a key is unknown.
        """
        if not isinstance(self.raw, dict):
            raise self.mistake("an object")
        for key in sorted(required - self.raw.keys()):
            raise PlanError(f"plan: {self.path}.{key} is missing", hint=_HINT)
        for key in sorted(self.raw.keys() - required - optional):
            raise PlanError(f"plan: {self.path}.{key} is not a known key", hint=_HINT)
        return {key: JsonValue(raw=value, path=f"{self.path}.{key}") for key, value in self.raw.items()}

    def members(self) -> Iterator[tuple[str, JsonValue]]:
        """Keys and values of an object whose keys are free."""
        if not isinstance(self.raw, dict):
            raise self.mistake("an object")
        return ((key, JsonValue(raw=value, path=f"{self.path}.{key}")) for key, value in self.raw.items())

    def items(self) -> Iterator[JsonValue]:
        """The elements of an array."""
        if not isinstance(self.raw, list):
            raise self.mistake("an array")
        return (JsonValue(raw=value, path=f"{self.path}[{i}]") for i, value in enumerate(self.raw))

    def one_or_more(self) -> list[JsonValue]:
        """The elements of an array, or the value itself."""
        return list(self.items()) if isinstance(self.raw, list) else [self]

    def text(self) -> str:
        """A string."""
        if not isinstance(self.raw, str):
            raise self.mistake("a string")
        return self.raw

    def flag(self) -> bool:
        """true or false."""
        if not isinstance(self.raw, bool):
            raise self.mistake("true or false")
        return self.raw

    def integer(self) -> int:
        """An integer."""
        if not isinstance(self.raw, int) or isinstance(self.raw, bool):
            raise self.mistake("an integer")
        return self.raw

    def number(self) -> float:
        """A finite number."""
        if not isinstance(self.raw, int | float) or isinstance(self.raw, bool) or not np.isfinite(self.raw):
            raise self.mistake("a finite number")
        return float(self.raw)

    def number_or_none(self) -> float | None:
        """A finite number, or null."""
        return None if self.raw is None else self.number()

    def float32(self) -> float:
        """A finite number, rounded to float32."""
        if not isinstance(self.raw, int | float) or isinstance(self.raw, bool):
            raise self.mistake("a number")
        with np.errstate(over="ignore"):
            value = float(np.float32(self.raw))
        if not np.isfinite(value):
            raise self.mistake("a finite float32 number")
        return value

    def mistake(self, expected: str) -> PlanError:
        """The error for a value of the wrong kind."""
        shown = repr(self.raw)
        shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
        return PlanError(f"plan: {self.path} is {shown}, expected {expected}", hint=_HINT)
