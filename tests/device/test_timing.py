"""Timing on a machine that other programs use, too."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from zsq_export.device.priority import raised_priority
from zsq_export.device.ratios import Timings, ratio_of
from zsq_export.device.rest import come_to_rest, count_preemptions
from zsq_export.device.timing import TimingOptions, measure


class Machine:
    """A clock that moves when a model runs; ``delay(call number)`` seconds are lost to somebody else."""

    def __init__(self, delay: Callable[[int], float] = lambda _: 0.0) -> None:
        self.now = 0.0
        self.calls = 0
        self.taken = 0
        self._delay = delay

    def model(self, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.calls += 1
            lost = self._delay(self.calls)
            self.taken += lost > 0
            self.now += seconds + lost

        return call

    def measure(
        self,
        *seconds: float,
        options: TimingOptions | None = None,
        preemptions: Callable[[], int] | None = None,
        rest: Callable[[], int] = lambda: 0,
    ) -> Timings:
        return measure(
            [self.model(time) for time in seconds],
            options or TimingOptions(),
            clock=lambda: self.now,
            preemptions=preemptions or (lambda: self.taken),
            rest=rest,
        )


def test_rounds_in_which_the_processor_was_taken_away_are_left_out() -> None:
    timings = Machine(delay=lambda call: 0.005 if call % 100 < 30 else 0.0).measure(0.008, 0.004)
    assert 0 < timings.counted.sum() < len(timings.counted)
    np.testing.assert_allclose(timings.kept[0], 0.008)
    assert ratio_of(*timings.kept).ratio == pytest.approx(2)
    assert timings.seconds.max() > 0.012


def test_one_slow_inference_of_a_block_does_not_count() -> None:
    timings = Machine(delay=lambda call: 0.05 if call % 7 == 0 else 0.0).measure(0.002, 0.001)
    np.testing.assert_allclose(timings.seconds[0], 0.002)


def test_every_block_begins_at_rest_with_an_inference_that_does_not_count() -> None:
    machine, rests = Machine(), []
    machine._delay = lambda call: 0.1 if rests and rests[-1] == call - 1 else 0.0

    def note_rest() -> int:
        rests.append(machine.calls)
        return 0

    timings = measure(
        [machine.model(0.008), machine.model(0.004)],
        TimingOptions(),
        clock=lambda: machine.now,
        preemptions=lambda: 0,
        rest=note_rest,
    )
    np.testing.assert_allclose(timings.seconds, [[0.008], [0.004]] * np.ones(timings.seconds.shape))
    assert len(rests) == timings.seconds.size


def test_rest_is_when_no_thread_works_any_more() -> None:
    stop = threading.Event()

    def spin() -> None:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        stop.set()

    threading.Thread(target=spin).start()
    come_to_rest()
    assert stop.is_set()


def test_the_priority_is_as_before_afterwards_for_every_thread() -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    threads = (os.getpid(), other.native_id or 0)
    before = [os.sched_getscheduler(thread) for thread in threads]
    try:
        with raised_priority() as raised:
            during = [os.sched_getscheduler(thread) for thread in threads]
            assert during == ([os.SCHED_RR] * 2 if raised else before)
        assert [os.sched_getscheduler(thread) for thread in threads] == before
    finally:
        done.set()


def test_a_process_that_was_told_to_be_nice_stays_so() -> None:
    code = (
        "import os; os.nice(5)\n"
        "from zsq_export.device.priority import raised_priority\n"
        "with raised_priority() as raised: print(raised, os.sched_getscheduler(0) == os.SCHED_RR)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize("always", [0, 1])
def test_the_least_disturbed_rounds_count(always: int) -> None:
    """Some others are there all the time; those that are away for one second in four slow everything down."""
    machine = Machine()

    def others() -> int:
        return always + int(machine.now % 4 > 1)

    machine._delay = lambda _: 0.004 * (others() - always)
    timings = machine.measure(0.008, 0.004, preemptions=lambda: 0, rest=others)
    assert 0 < timings.counted.sum() < len(timings.counted)
    assert timings.ratio(0).ratio == pytest.approx(2)
    assert np.median(timings.seconds[0] / timings.seconds[1]) < 1.9


def test_all_rounds_count_where_all_are_alike() -> None:
    timings = Machine(delay=lambda _: 0.001).measure(0.008, 0.004, rest=lambda: 2)
    assert timings.disturbances.all() and timings.kept.shape == timings.seconds.shape


def test_it_goes_on_while_the_interval_is_wide_and_stops_when_it_is_narrow() -> None:
    noise = np.random.default_rng(0).exponential(0.004, 100_000)
    options = TimingOptions(seconds=1, most_seconds=8, most_rounds=10_000)
    calm, noisy = Machine(), Machine()
    calm.measure(0.008, 0.004, options=options)
    noisy._delay = lambda call: float(noise[call])
    noisy.measure(0.008, 0.004, options=options)
    assert calm.now < 1.5 and 2 < noisy.now < 9


def test_models_that_load_quickly_are_loaded_anew_and_a_bad_loading_does_not_decide() -> None:
    machine, loadings = Machine(), []

    def load() -> list[Callable[[], None]]:
        loadings.append(machine.now)
        slow = 1.5 if len(loadings) % 4 == 2 else 1.0
        return [machine.model(0.008 * slow), machine.model(0.004)]

    options = TimingOptions(seconds=6, most_seconds=12)
    timings = measure(load(), options, clock=lambda: machine.now, preemptions=lambda: 0, rest=lambda: 0, reload=load)
    found = timings.ratio(0)
    assert len(loadings) >= 8 and len(np.unique(timings.loading)) == len(loadings)
    assert found.ratio == pytest.approx(2)


def test_the_interval_knows_that_rounds_of_one_loading_are_alike() -> None:
    random = np.random.default_rng(0)
    loading = np.repeat(np.arange(6), 20)
    ratios = np.repeat(random.normal(2, 0.2, 6), 20) * random.normal(1, 0.01, 120)
    alike, apart = ratio_of(ratios, np.ones(120), loading=loading), ratio_of(ratios, np.ones(120))
    assert alike.ratio == apart.ratio and alike.high - alike.low > 2 * (apart.high - apart.low)


def test_models_that_load_slowly_are_not_loaded_again_and_again() -> None:
    machine, loadings = Machine(), []

    def load() -> list[Callable[[], None]]:
        loadings.append(machine.now)
        machine.now += 1.0
        return [machine.model(0.008), machine.model(0.004)]

    options = TimingOptions(seconds=6)
    measure(load(), options, clock=lambda: machine.now, preemptions=lambda: 0, rest=lambda: 0, reload=load)
    assert len(loadings) == 2


def test_preemptions_are_counted() -> None:
    assert count_preemptions() >= 0


def test_the_ratio_needs_no_second_model() -> None:
    assert Machine().measure(0.004).seconds.shape[0] == 1
