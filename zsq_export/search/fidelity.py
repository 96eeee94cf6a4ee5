"""Fidelity: the shortest beginning of an order of layers to leave in float with which the agreement holds."""

from __future__ import annotations

from collections.abc import Callable

from zsq_export.planning.plan import SearchAction
from zsq_export.search.log import Trial
from zsq_export.search.measured import Left, Measured
from zsq_export.search.options import SearchOptions
from zsq_export.search.outcome import Steps
from zsq_export.search.trial import Timing
from zsq_export.search.units import Units

_MOST_TRIALS = 9
_FINE = 0.03
"""The border between enough and too little in float is found to this share of all steps."""
_TRAFFIC_SHARE = 0.1
"""Of the float model's time that is put down to moving results, in proportion to their size."""


class Border:
    """Looks for the border between too little and enough in float.

    Args:
        order: growing sets of units; the first is what is in float already, the last is everything.
        remaining: power of the output error left with each of them.
        measured: judges plans.
        steps: gets a step per plan.
        options: the gate, and the time there is.
        over: says when no new plan is to be tried, if one holds the gate.
    """

    def __init__(
        self,
        order: list[Left],
        remaining: list[float],
        measured: Measured,
        steps: Steps,
        options: SearchOptions,
        over: Callable[[], bool],
    ) -> None:
        self._order, self._remaining, self._measured, self._steps = order, remaining, measured, steps
        self._options, self._over = options, over
        self._best: Trial | None = None

    def find(self) -> Left:
        """The shortest set that holds the gate, as far as the trials tell; everything, if nothing less does."""
        low, high = 0, len(self._order) - 1
        reference = self._measured.trial(self._order[0])
        for number in range(_MOST_TRIALS):
            if self._best is not None and (high - low <= max(1, round(_FINE * len(self._order))) or self._over()):
                break
            position = self._position(number, low, high, reference)
            trial = self._measured.trial(self._order[position])
            good = self._options.agrees(trial.estimate)
            self._explain(trial, self._order[position], good)
            if good:
                self._best, high = trial, position
            elif position == len(self._order) - 1:
                break
            else:
                low, reference = position, trial
        return self._order[-1] if self._best is None else frozenset(self._best.units)

    def _position(self, number: int, low: int, high: int, reference: Trial) -> int:
        """A guess and a halving in turn; everything, if nothing has done until the last trial."""
        if number == _MOST_TRIALS - 1 and self._best is None:
            return high
        if number % 2:
            return (low + high + 1) // 2
        allowed = 100 - (self._options.min_agreement or 0)
        return _guess(self._remaining, low, high, 100 - reference.estimate.percent, allowed)

    def _explain(self, trial: Trial, chosen: Left, good: bool) -> None:
        verdict = "enough" if good else "not enough"
        before = self._order[0] if self._best is None else frozenset(self._best.units)
        if self._best is not None and chosen < before:
            self._steps.add(SearchAction.QUANTIZE_AGAIN, trial, before - chosen, f"fewer are {verdict}", kept=good)
            return
        reason = f"they cost most fidelity for their time; {verdict}"
        self._steps.add(SearchAction.KEEP_FLOAT, trial, chosen - before, reason, kept=good)


def extra_seconds(units: Units, timing: Timing | None) -> dict[str, float]:
    """Seconds that each unit takes longer in float: the measured difference by work, and a part by traffic.

    Args:
        units: of the plan.
        timing: of the plan with everything quantized; None: proportions only.
    """
    whole, gained = (1.0, 0.5) if timing is None else (
        timing.baseline_seconds, max(timing.baseline_seconds - timing.seconds, 0.05 * timing.baseline_seconds)
    )  # fmt: skip
    macs = max(sum(unit.macs for unit in units.units.values()), 1)
    elements = max(sum(unit.elements for unit in units.units.values()), 1)
    return {
        name: gained * unit.macs / macs + _TRAFFIC_SHARE * whole * unit.elements / elements
        for name, unit in units.units.items()
    }


def _guess(remaining: list[float], low: int, high: int, error: float, allowed: float) -> int:
    """The first position strictly between that should do: disagreement grows as the root of the noise power."""
    middle = (low + high) // 2 if high - low > 1 else high
    if remaining[low] <= 0 or error <= 0:
        return middle
    for position in range(low + 1, high):
        if error * (remaining[position] / remaining[low]) ** 0.5 <= allowed:
            return position
    return middle
