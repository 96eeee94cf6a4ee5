"""Speed: kinds of ops that multiply nothing are left in float where the model is faster then."""

from __future__ import annotations

from zsq_export.planning.plan import SearchAction
from zsq_export.progress import Progress
from zsq_export.search.measured import Left, Measured
from zsq_export.search.outcome import Steps
from zsq_export.search.units import Units

MOST_GROUPS = 5
WORTH = 1.02
"""Times faster that a change has to be, at least, beside an interval that excludes 1."""


def drop_slow(units: Units, measured: Measured, steps: Steps, progress: Progress) -> Left:
    """Tries one kind after the other against the plan before.

    Args:
        units: of the plan.
        measured: times plans.
        steps: gets a step per kind.
        progress: called with what is tried.

    Returns:
        What is left in float.
    """
    left: Left = frozenset()
    for kind, group in _groups(units):
        progress(f"trying {kind} in float for speed", None)
        after = left | group
        timing = measured.pair(left, after)
        faster = timing.low > 1 and timing.ratio >= WORTH
        verdict = f"{kind} in float: {timing.ratio:.2f} times as fast ({timing.low:.2f} to {timing.high:.2f})"
        left = after if faster else left
        steps.add(SearchAction.DROP_SLOW, measured.trial(left), group, verdict, kept=faster)
    return left


def _groups(units: Units) -> list[tuple[str, Left]]:
    """Kinds of ops without multiplications, those that move most first."""
    kinds: dict[str, set[str]] = {}
    for unit in units.units.values():
        if unit.macs == 0:
            kinds.setdefault(unit.op_type, set()).add(unit.name)
    size = {kind: sum(units.units[name].elements for name in names) for kind, names in kinds.items()}
    ordered = sorted(kinds, key=lambda kind: (-size[kind], kind))
    return [(kind, frozenset(kinds[kind])) for kind in ordered[:MOST_GROUPS]]
