"""The rest: what stays in float runs in the precision that the float model is fastest in."""

from __future__ import annotations

from zsq_export.backends.base import Backend
from zsq_export.backends.options import FloatPrecision
from zsq_export.planning.plan import SearchAction
from zsq_export.search.measured import Left, Measured
from zsq_export.search.options import SearchOptions
from zsq_export.search.outcome import Steps
from zsq_export.search.trial import Timing


def in_fastest_float(
    backend: Backend,
    measured: Measured,
    timing: Timing | None,
    everything: Left,
    steps: Steps,
    options: SearchOptions,
) -> tuple[Measured, tuple[str, ...]]:
    """Plans whose float layers run in the best precision of the device, if the gate can be held in it.

    Args:
        backend: says what there is to choose.
        measured: plans of the target's own precision.
        timing: of a plan against the float model; None: nothing is timed, nothing changes.
        everything: all that can be left in float.
        steps: gets a step, if there is something to choose.
        options: the gate.

    Returns:
        The plans, and what a person should know of the precision.
    """
    precision = None if timing is None else _choice(backend, FloatPrecision(timing.precision))
    if precision is None:
        return measured, ()
    other = measured.in_precision(precision)
    trial = other.trial(everything)
    good = options.agrees(trial.estimate)
    verdict = "agree enough" if good else "do not agree enough"
    reason = f"the float model is fastest in {precision.value}; all layers in it {verdict}"
    steps.add(SearchAction.FLOAT_PRECISION, trial, frozenset(), reason, kept=good)
    if good:
        return other, ()
    percent = f"{trial.estimate.percent:.1f} %"
    return measured, (f"the float model itself is expected to agree on {percent} only in {precision.value}",)


def _choice(backend: Backend, fastest: FloatPrecision) -> FloatPrecision | None:
    """None where the user has chosen, or the target's own is the fastest."""
    chosen = backend.options.float_precision is not None
    return None if chosen or fastest is FloatPrecision.F32 or fastest not in backend.rest_precisions() else fastest
