"""Plans with some units in float, each measured once: from the log where it is there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace

from zsq_export.backends.base import Runner
from zsq_export.backends.options import FloatPrecision, TargetOptions
from zsq_export.planning.plan import Plan
from zsq_export.search.log import SearchLog, Trial
from zsq_export.search.options import SearchOptions
from zsq_export.search.trial import Bench, Timing
from zsq_export.search.units import Units

Left = frozenset[str]
"""Units that are left in float."""

REASON = "left in float by the search"
"""Of the nodes in the plan."""

_OPEN = 2
"""Runners that are kept for the next measurement: a plan is judged, then timed, then timed beside another."""


class Measured:
    """Builds plans, judges and times them.

    Args:
        units: of the plan with everything quantized that the target wants.
        bench: builds and measures.
        log: of earlier measurements.
        options: of the search.
        precision: of what is in float; None: the target's own.
    """

    def __init__(
        self,
        units: Units,
        bench: Bench,
        log: SearchLog,
        options: SearchOptions,
        precision: FloatPrecision | None = None,
    ) -> None:
        self._units, self._bench, self._log, self._options = units, bench, log, options
        self._chosen = precision
        self._open: dict[Left, Runner] = {}

    def in_precision(self, precision: FloatPrecision) -> Measured:
        """The same plans, with this precision of what is in float."""
        return Measured(self._units, self._bench, self._log, self._options, precision)

    def plan(self, left: Collection[str]) -> Plan:
        """With these units in float."""
        plan = self._units.without(left, REASON)
        if self._chosen is None:
            return plan
        options = replace(TargetOptions.from_settings(plan.settings), float_precision=self._chosen)
        return replace(plan, settings=options.settings())

    def trial(self, left: Left) -> Trial:
        """Agreement with these units in float."""
        known = self._log.trial(left, self._precision)
        if known is not None:
            return known
        self._options.progress(f"trying {len(left)} of {len(self._units.units)} layers in float", None)
        estimate = self._bench.judge(self._runner(left))
        trial = Trial(units=tuple(sorted(left)), precision=self._precision, estimate=estimate)
        self._log.add_trial(trial)
        return trial

    def timed(self, trial: Trial) -> Trial:
        """The same with its latency against the best float model."""
        if trial.timing is not None or not self._options.timed:
            return trial
        self._options.progress("measuring latency", None)
        runner = self._runner(frozenset(trial.units))
        timed = replace(trial, timing=self._bench.against_float(runner, self._options.timing_seconds))
        self._log.add_trial(timed)
        return timed

    def pair(self, before: Left, after: Left) -> Timing:
        """Latency of one plan against another."""
        key = f"pair {self._precision} {sorted(before)} {sorted(after)}"
        raw = self._log.get(key)
        if raw is not None:
            return Timing(**raw)
        first, second = self._runner(before), self._runner(after)
        found = self._bench.against(first, second, self._options.timing_seconds)
        self._log.add(key, asdict(found))
        return found

    @property
    def _precision(self) -> str:
        return "" if self._chosen is None else self._chosen.value

    def _runner(self, left: Left) -> Runner:
        """The least recently used one goes."""
        runner = self._open.pop(left, None)
        if runner is None:
            while len(self._open) >= _OPEN:
                del self._open[next(iter(self._open))]
            _plan, runner = self._bench.build(self.plan(left))
        self._open[left] = runner
        return runner
