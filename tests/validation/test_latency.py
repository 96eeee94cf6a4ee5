from __future__ import annotations

import gc
import itertools
from collections.abc import Callable

import pytest

from zsq_export.validation.figures import InputOrigin, Latency
from zsq_export.validation.latency import Candidate, LatencyOptions, measure_latency

LABELS = (("float f32", "f32"), ("float bf16", "bf16"))


class Machine:
    """A clock that only moves when a model runs; ``load`` slows everything down as a busy machine does."""

    def __init__(self, load: Callable[[float], float] = lambda _: 1.0) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self._load = load

    def model(self, label: str, precision: str | None, seconds: float) -> Candidate:
        def call() -> None:
            self.calls.append(label)
            self.now += seconds * self._load(self.now)

        return Candidate(label=label, precision=precision, call=call)

    def measure(self, *times: float, options: LatencyOptions | None = None) -> Latency:
        labels = [*LABELS[: len(times) - 1], ("int8", None)]
        models = [self.model(*label, seconds) for label, seconds in zip(labels, times, strict=True)]
        return measure_latency(
            models, options or LatencyOptions(), batch_size=1, threads=None, inputs=InputOrigin.REAL,
            clock=lambda: self.now, preemptions=lambda: 0, rest=lambda: 0,
        )  # fmt: skip


def test_a_quiet_machine_gives_exact_times_and_ratios() -> None:
    latency = Machine().measure(0.008, 0.006, 0.003)
    assert [series.median_ms for series in latency.series] == pytest.approx([8, 6, 3])
    assert [entry.ratio for entry in latency.speedups] == pytest.approx([8 / 3, 2])
    assert latency.best_float == "float bf16" and latency.against_best.ratio == pytest.approx(2)
    assert latency.warmed_up and latency.series[0].rounds >= 15


def test_a_slow_phase_of_the_machine_cancels_in_the_ratio() -> None:
    latency = Machine(load=lambda now: 3.0 if now % 4 > 1 else 1.0).measure(0.008, 0.004)
    assert latency.against_best.ratio == pytest.approx(2, rel=0.02)
    assert latency.against_best.low == pytest.approx(2, rel=0.05)
    assert latency.series[0].q75_ms > 2 * latency.series[0].q25_ms


def test_rounds_are_interleaved_and_begin_with_another_model_each_time() -> None:
    """A block is one inference that does not count and 20 ms: 1 + 3 and 1 + 5; two of one model may meet."""
    machine = Machine()
    machine.measure(0.008, 0.004)
    turns = [(label, len(list(calls))) for label, calls in itertools.groupby(machine.calls)][-12:-1]
    assert set(turns) == {("float f32", 4), ("float f32", 2 * 4), ("int8", 6), ("int8", 2 * 6)}


def test_short_inferences_are_timed_together() -> None:
    """At least half a millisecond at once, 25 times."""
    latency = Machine().measure(0.0001, 0.00005)
    assert [series.inferences for series in latency.series] == [
        pytest.approx(25 * 5, abs=25), pytest.approx(25 * 10, abs=25)
    ]  # fmt: skip
    assert latency.series[0].median_ms == pytest.approx(0.1)


@pytest.mark.parametrize("times", [(0.0001, 0.0001), (0.01, 0.01), (1.0, 0.5)])
def test_total_time_is_bounded(times: tuple[float, ...]) -> None:
    machine = Machine()
    machine.measure(*times, options=LatencyOptions(seconds=6))
    assert machine.now < 6 * 1.25 + 20 * sum(times)


def test_a_very_slow_model_still_gets_a_few_rounds() -> None:
    latency = Machine().measure(20.0, 10.0, options=LatencyOptions(seconds=6))
    assert latency.series[0].rounds == 5 and not latency.warmed_up


def test_times_that_drift_are_said_to() -> None:
    assert not Machine(load=lambda now: 1 + now).measure(0.01, 0.01).warmed_up


def test_garbage_collection_is_back_on_even_after_an_error() -> None:
    def fail() -> None:
        assert not gc.isenabled()
        raise RuntimeError

    models = [Candidate(label=label, precision=None, call=fail) for label in ("float f32", "int8")]
    with pytest.raises(RuntimeError):
        measure_latency(models, LatencyOptions(), batch_size=1, threads=1, inputs=InputOrigin.REAL)
    assert gc.isenabled()
