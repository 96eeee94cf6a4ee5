"""Where a search ended, in figures and in words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from zsq_export.planning.plan import Plan, SearchAction, SearchStep
from zsq_export.search.log import Trial
from zsq_export.search.options import SearchOptions
from zsq_export.search.trial import Timing
from zsq_export.search.units import Units
from zsq_export.validation.forecast import AgreementEstimate


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where a search ended.

    Attributes:
        plan: the best one, with the steps that led to it.
        estimate: of its agreement on real data.
        timing: against the best float model; None where it was not timed.
        unmet: one sentence per gate that does not hold.
        notes: what a person should know of it.
    """

    plan: Plan
    estimate: AgreementEstimate
    timing: Timing | None
    unmet: tuple[str, ...]
    notes: tuple[str, ...]


class Steps:
    """What was tried, in the order of trying.

    Args:
        units: of the plan.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._steps: list[SearchStep] = []

    def add(self, action: SearchAction, trial: Trial, units: Collection[str], reason: str, *, kept: bool) -> None:
        """Notes one step: what it changed, what was measured, and whether later ones build on it."""
        nodes = tuple(name for unit in self._units.units.values() if unit.name in units for name in unit.nodes)
        parts = trial.estimate.parts
        step = SearchStep(
            action=action,
            nodes=nodes,
            reason=reason,
            agreement=trial.estimate.percent,
            agreement_low=trial.estimate.low,
            sqnr_db=parts[0].sqnr_db if parts else 0.0,
            speedup=None,
            speedup_low=None,
            speedup_high=None,
            kept=kept,
        )
        self._steps.append(_timed(step, trial.timing))

    def with_final(self, timing: Timing | None) -> tuple[SearchStep, ...]:
        """All of them, the last kept one with the latency that was measured at the end."""
        last = max(index for index, step in enumerate(self._steps) if step.kept)
        final = _timed(self._steps[last], timing)
        return (*self._steps[:last], final, *self._steps[last + 1 :])


def _timed(step: SearchStep, timing: Timing | None) -> SearchStep:
    if timing is None:
        return step
    return replace(step, speedup=timing.ratio, speedup_low=timing.low, speedup_high=timing.high)


def unmet_gates(trial: Trial, options: SearchOptions) -> tuple[str, ...]:
    """One sentence for each gate that does not hold."""
    found = []
    if not options.agrees(trial.estimate):
        found.append(f"expected agreement {trial.estimate.percent:.1f} %, at least {options.min_agreement:g} % wanted")
    if options.min_speedup is not None:
        if trial.timing is None:
            found.append("the speed-up cannot be measured here")
        elif trial.timing.ratio < options.min_speedup:
            found.append(
                f"{trial.timing.ratio:.2f} times as fast as {trial.timing.baseline} with that agreement, at least "
                f"{options.min_speedup:g} wanted"
            )
    return tuple(found)


def notes_on(trial: Trial) -> tuple[str, ...]:
    """What a person should know: above all, that a plan is not faster than float."""
    timing = trial.timing
    if timing is None:
        return ("latency was not measured",)
    interval = f"{timing.ratio:.2f} times as fast, 95 % interval {timing.low:.2f} to {timing.high:.2f}"
    if timing.high < 1:
        return (f"this plan is slower than the best float model ({timing.baseline}) on this device: {interval}",)
    if timing.low <= 1:
        return (f"this plan is not measurably faster than the best float model ({timing.baseline}): {interval}",)
    return ()
