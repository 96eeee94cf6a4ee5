"""The search: measure, drop what loses time, leave in float what costs most fidelity, until the gates hold."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.planning.plan import SearchAction
from zsq_export.rounding.base import Rounded
from zsq_export.search.fidelity import Border, extra_seconds
from zsq_export.search.log import SearchLog, Trial
from zsq_export.search.measured import Left, Measured
from zsq_export.search.noise import spread_samples, tensor_noise
from zsq_export.search.options import SearchOptions
from zsq_export.search.outcome import Outcome, Steps, notes_on, unmet_gates
from zsq_export.search.rest import in_fastest_float
from zsq_export.search.speed import drop_slow
from zsq_export.search.trial import Bench, Timing
from zsq_export.search.units import Units, noise_left, order_of_gain

_MOST_SAMPLES, _FEWEST_SAMPLES = 12, 4
_NOISE_MACS = 1.0e9
"""Multiply-accumulates of one pass over the samples that noise is measured on; there is a pass for every tensor."""

_LEAST = 0.25
"""Of the time there is that is left for trying plans, however long the calibration took."""


class Search:
    """One search for one target.

    Args:
        rounded: the plan with everything quantized that the target wants, and the integers of its weights.
        units: of that plan.
        bench: builds and measures.
        log: of earlier measurements; what is in it is not measured again.
        options: see there.
        started: when the time that there is began, by the options' clock; None: now.
    """

    def __init__(
        self,
        rounded: Rounded,
        units: Units,
        bench: Bench,
        log: SearchLog,
        options: SearchOptions,
        started: float | None = None,
    ) -> None:
        self._rounded, self._units, self._bench, self._log, self._options = rounded, units, bench, log, options
        self._measured = Measured(units, bench, log, options)
        self._steps = Steps(units)
        now = options.clock()
        self._notes: tuple[str, ...] = ()
        self._end = max((now if started is None else started) + options.seconds, now + _LEAST * options.seconds)

    def run(self) -> Outcome:
        """Searches.

        Raises:
            ZsqError: the plan cannot be built or run.
        """
        measured, options = self._measured, self._options
        left: Left = frozenset()
        start = measured.timed(measured.trial(left))
        reason = "everything quantized that the target wants"
        self._steps.add(SearchAction.START, start, frozenset(), reason, kept=True)
        if options.timed:
            left = drop_slow(self._units, measured, self._steps, options.progress)
        if not options.agrees(measured.trial(left).estimate):
            measured, left = self._keep_float(left, start.timing)
        return self._outcome(measured, measured.timed(measured.trial(left)))

    def _keep_float(self, left: Left, timing: Timing | None) -> tuple[Measured, Left]:
        noise = self._noise()
        order = order_of_gain(self._units, noise, extra_seconds(self._units, timing), left)
        remaining = [noise_left(self._units, noise, chosen) for chosen in order]
        over = lambda: self._options.clock() > self._end  # noqa: E731
        measured, self._notes = in_fastest_float(
            self._bench.backend, self._measured, timing, order[-1], self._steps, self._options
        )
        return measured, Border(order, remaining, measured, self._steps, self._options, over).find()

    def _noise(self) -> dict[int, float]:
        known = self._log.get("noise")
        if known is None:
            told = "measuring what each layer costs"
            inputs = spread_samples([held.inputs for held in self._bench.estimator.sets], self._samples())
            model, progress = self._bench.prepared.folded, self._options.progress
            found = tensor_noise(model, self._rounded, inputs, lambda done: progress(told, done))
            known = list(found.values())
            self._log.add("noise", known)
        return dict(enumerate(known))

    def _samples(self) -> int:
        """Fewer for a large network: they only rank its layers."""
        macs = max(1, sum(unit.macs for unit in self._units.units.values()))
        return int(min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, _NOISE_MACS / macs)))

    def _outcome(self, measured: Measured, trial: Trial) -> Outcome:
        plan = replace(measured.plan(trial.units), search=self._steps.with_final(trial.timing))
        return Outcome(
            plan=plan,
            estimate=trial.estimate,
            timing=trial.timing,
            unmet=unmet_gates(trial, self._options),
            notes=(*notes_on(trial), *self._notes),
        )
