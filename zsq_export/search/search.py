"""The search: measure, drop what loses time, leave in float what costs most fidelity, until the gates hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, replace

from zsq_export.planning.plan import Plan, SearchAction, SearchStep
from zsq_export.rounding.base import Rounded
from zsq_export.search.log import SearchLog, Trial
from zsq_export.search.noise import spread_samples, tensor_noise
from zsq_export.search.trial import Bench, Timing
from zsq_export.search.units import Units, noise_left, order_of_gain
from zsq_export.validation.forecast import AgreementEstimate

Progress = Callable[[str, float | None], None]
Left = frozenset[str]

_MOST_SAMPLES, _FEWEST_SAMPLES = 16, 4
_NOISE_MACS = 1.6e9
"""Multiply-accumulates of one pass over the samples that noise is measured on; there is a pass for every tensor."""
_MOST_GROUPS = 5
_WORTH = 1.02
"""Times faster that a change has to be, at least, beside an interval that excludes 1."""
_MOST_TRIALS = 9
_FINE = 0.03
"""The border between enough and too little in float is found to this share of all steps."""
_TRAFFIC_SHARE = 0.1
"""Of the float model's time that is put down to moving results, in proportion to their size."""
_REASON_FLOAT = "left in float by the search"


def _silent(_message: str, _done: float | None) -> None:
    """Progress sink of a caller who wants none."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a search is to reach, and how long it may take.

    Attributes:
        min_agreement: expected on real data, percent; None: any.
        min_speedup: against the best float precision of the device; None: any.
        threads: of the runtime.
        seconds: after so many no new plan is tried, once one has been found.
        timing_seconds: of one measurement of latency.
        timed: measure latency at all.
        progress: called with (what is being done, fraction done or None).
        clock: replaced in tests.
    """

    min_agreement: float | None = None
    min_speedup: float | None = None
    threads: int | None = None
    seconds: float = 200.0
    timing_seconds: float = 3.0
    timed: bool = True
    progress: Progress = field(default=_silent, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)


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


class Search:
    """One search for one target.

    Args:
        rounded: the plan with everything quantized that the target wants, and the integers of its weights.
        units: of that plan.
        bench: builds and measures.
        log: of earlier measurements; what is in it is not measured again.
        options: see there.
    """

    def __init__(self, rounded: Rounded, units: Units, bench: Bench, log: SearchLog, options: SearchOptions) -> None:
        self._rounded, self._units, self._bench, self._log, self._options = rounded, units, bench, log, options
        self._steps: list[SearchStep] = []
        self._end = options.clock() + options.seconds

    def run(self) -> Outcome:
        """Searches.

        Raises:
            ZsqError: the plan cannot be built or run.
        """
        left: Left = frozenset()
        start = self._try(left)
        start = self._timed(start)
        self._note(SearchAction.START, start, frozenset(), "everything quantized that the target wants", kept=True)
        left = self._drop_slow(left)
        if not self._faithful(self._try(left).estimate):
            left = self._keep_float(left, start.timing)
        return self._outcome(self._timed(self._try(left)))

    def _faithful(self, estimate: AgreementEstimate) -> bool:
        return self._options.min_agreement is None or estimate.percent >= self._options.min_agreement

    # --- measuring ---

    def _plan(self, left: Collection[str]) -> Plan:
        return self._units.without(left, _REASON_FLOAT)

    def _try(self, left: Left) -> Trial:
        """Agreement with these units in float; from the log if it is there."""
        known = self._log.trial(left)
        if known is not None:
            return known
        self._options.progress(f"trying {len(left)} of {len(self._units.units)} layers in float", None)
        _plan, runner = self._bench.build(self._plan(left))
        trial = Trial(units=tuple(sorted(left)), estimate=self._bench.judge(runner))
        self._log.add_trial(trial)
        return trial

    def _timed(self, trial: Trial) -> Trial:
        """The same with its latency against the best float model."""
        if trial.timing is not None or not self._options.timed:
            return trial
        self._options.progress("measuring latency", None)
        _plan, runner = self._bench.build(self._plan(trial.units))
        timed = replace(trial, timing=self._bench.against_float(runner, self._options.timing_seconds))
        self._log.add_trial(timed)
        return timed

    def _pair(self, before: Left, after: Left) -> Timing:
        """Latency of one plan against another."""
        key = f"pair {sorted(before)} {sorted(after)}"
        raw = self._log.get(key)
        if raw is not None:
            return Timing(**raw)
        runners = [self._bench.build(self._plan(left))[1] for left in (before, after)]
        found = self._bench.against(self._bench.bound(runners[0]), runners[1], self._options.timing_seconds)
        self._log.add(key, asdict(found))
        return found

    # --- speed ---

    def _drop_slow(self, left: Left) -> Left:
        """Leaves kinds of ops that multiply nothing in float where the model is faster then."""
        if not self._options.timed:
            return left
        for kind, group in _groups(self._units, left):
            self._options.progress(f"trying {kind} in float for speed", None)
            after = left | group
            timing = self._pair(left, after)
            faster = timing.low > 1 and timing.ratio >= _WORTH
            verdict = f"{kind} in float: {timing.ratio:.2f} times as fast ({timing.low:.2f} to {timing.high:.2f})"
            trial = self._try(after if faster else left)
            self._note(SearchAction.DROP_SLOW, trial, group, verdict, kept=faster)
            left = after if faster else left
        return left

    # --- fidelity ---

    def _keep_float(self, left: Left, timing: Timing | None) -> Left:
        """The shortest beginning of the order of gain with which the agreement holds."""
        noise = self._noise()
        order = order_of_gain(self._units, noise, _costs(self._units, timing), left)
        remaining = [noise_left(self._units, noise, chosen) for chosen in order]
        low, high = 0, len(order) - 1
        reference = self._try(left).estimate
        best: Trial | None = None
        for number in range(_MOST_TRIALS):
            if high - low <= max(1, round(_FINE * len(order))) and best is not None:
                break
            if best is not None and self._options.clock() > self._end:
                break
            position = (
                high
                if number == _MOST_TRIALS - 1 and best is None
                else (low + high + 1) // 2
                if number % 2
                else _guess(remaining, low, high, 100 - reference.percent, 100 - (self._options.min_agreement or 0))
            )
            trial = self._try(order[position])
            good = self._faithful(trial.estimate)
            self._explain(trial, order[position], best, left, good)
            if good:
                best, high = trial, position
            else:
                low = position
                reference = trial.estimate
            if position == len(order) - 1 and not good:
                best = trial
                break
        return order[-1] if best is None else frozenset(best.units)

    def _explain(self, trial: Trial, chosen: Left, best: Trial | None, start: Left, good: bool) -> None:
        verdict = "enough" if good else "not enough"
        if best is None or not chosen < frozenset(best.units):
            before = start if best is None else frozenset(best.units)
            reason = f"they cost most fidelity for their time; {verdict}"
            self._note(SearchAction.KEEP_FLOAT, trial, chosen - before, reason, kept=good)
            return
        self._note(
            SearchAction.QUANTIZE_AGAIN, trial, frozenset(best.units) - chosen, f"fewer are {verdict}", kept=good
        )

    def _noise(self) -> dict[int, float]:
        known = self._log.get("noise")
        if known is None:
            self._options.progress("measuring what each layer costs", 0.0)
            inputs = spread_samples([held.inputs for held in self._bench.estimator.sets], self._samples())
            known = list(
                tensor_noise(
                    self._bench.prepared.folded,
                    self._rounded,
                    inputs,
                    lambda done: self._options.progress("measuring what each layer costs", done),
                ).values()
            )
            self._log.add("noise", known)
        return dict(enumerate(known))

    def _samples(self) -> int:
        """Fewer for a large network: they only rank its layers."""
        macs = max(1, sum(unit.macs for unit in self._units.units.values()))
        return int(min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, _NOISE_MACS / macs)))

    # --- words ---

    def _note(self, action: SearchAction, trial: Trial, units: Collection[str], reason: str, *, kept: bool) -> None:
        nodes = tuple(name for unit in self._units.units.values() if unit.name in units for name in unit.nodes)
        timing, parts = trial.timing, trial.estimate.parts
        self._steps.append(
            SearchStep(
                action=action,
                nodes=nodes,
                reason=reason,
                agreement=trial.estimate.percent,
                agreement_low=trial.estimate.low,
                sqnr_db=parts[0].sqnr_db if parts else 0.0,
                speedup=None if timing is None else timing.ratio,
                speedup_low=None if timing is None else timing.low,
                speedup_high=None if timing is None else timing.high,
                kept=kept,
            )
        )

    def _outcome(self, trial: Trial) -> Outcome:
        plan = replace(self._plan(trial.units), search=self._with_final(trial))
        return Outcome(
            plan=plan,
            estimate=trial.estimate,
            timing=trial.timing,
            unmet=_unmet(trial, self._options),
            notes=_notes(trial),
        )

    def _with_final(self, trial: Trial) -> tuple[SearchStep, ...]:
        """The steps, the last kept one with the latency that was measured at the end."""
        timing = trial.timing
        last = max(index for index, step in enumerate(self._steps) if step.kept)
        if timing is not None:
            self._steps[last] = replace(
                self._steps[last], speedup=timing.ratio, speedup_low=timing.low, speedup_high=timing.high
            )
        return tuple(self._steps)


def _groups(units: Units, left: Left) -> list[tuple[str, Left]]:
    """Kinds of ops without multiplications, those that move most first."""
    kinds: dict[str, set[str]] = {}
    for unit in units.units.values():
        if unit.macs == 0 and unit.name not in left:
            kinds.setdefault(unit.op_type, set()).add(unit.name)
    size = {kind: sum(units.units[name].elements for name in names) for kind, names in kinds.items()}
    ordered = sorted(kinds, key=lambda kind: (-size[kind], kind))
    return [(kind, frozenset(kinds[kind])) for kind in ordered[:_MOST_GROUPS]]


def _costs(units: Units, timing: Timing | None) -> dict[str, float]:
    """Seconds that each unit takes longer in float: the measured difference by work, and a part by traffic."""
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
    return middle if high - low > 1 else high


def _unmet(trial: Trial, options: SearchOptions) -> tuple[str, ...]:
    found = []
    if options.min_agreement is not None and trial.estimate.percent < options.min_agreement:
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


def _notes(trial: Trial) -> tuple[str, ...]:
    timing = trial.timing
    if timing is None:
        return ("latency was not measured",)
    interval = f"{timing.ratio:.2f} times as fast, 95 % interval {timing.low:.2f} to {timing.high:.2f}"
    if timing.high < 1:
        return (f"this plan is slower than the best float model ({timing.baseline}) on this device: {interval}",)
    if timing.low <= 1:
        return (f"this plan is not measurably faster than the best float model ({timing.baseline}): {interval}",)
    return ()
