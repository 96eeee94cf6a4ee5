"""The steps of a search, as they stand in a plan's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from zsq_export.planning.json_values import JsonValue
from zsq_export.planning.plan import SearchAction, SearchStep

_KEYS = frozenset(entry.name for entry in fields(SearchStep))


def search_to_raw(steps: Sequence[SearchStep]) -> list[dict[str, Any]]:
    """The steps as JSON values."""
    return [asdict(step) | {"action": step.action.value, "nodes": list(step.nodes)} for step in steps]


def search_from_json(value: JsonValue) -> tuple[SearchStep, ...]:
    """Reads what :func:`search_to_raw` wrote.

    Raises:
        PlanError: a value is missing, unknown or of the wrong kind; names the place.
    """
    return tuple(_step(item) for item in value.items())


def _step(value: JsonValue) -> SearchStep:
    members = value.object(_KEYS)
    action = members["action"].text()
    if action not in (names := [member.value for member in SearchAction]):
        raise members["action"].mistake("one of " + ", ".join(names))
    return SearchStep(
        action=SearchAction(action),
        nodes=tuple(item.text() for item in members["nodes"].items()),
        reason=members["reason"].text(),
        agreement=members["agreement"].number(),
        agreement_low=members["agreement_low"].number(),
        sqnr_db=members["sqnr_db"].number(),
        speedup=members["speedup"].number_or_none(),
        speedup_low=members["speedup_low"].number_or_none(),
        speedup_high=members["speedup_high"].number_or_none(),
        kept=members["kept"].flag(),
    )
