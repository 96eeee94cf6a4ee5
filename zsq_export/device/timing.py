"""Latency of several models side by side on a machine that does other things, too.

Models take turns in short blocks, beginning with another one in turn, so that a slow moment of the machine hits all of
them alike and cancels in the ratio of a round. Before a block the process comes to rest: worker threads of the model
before spin for tens of milliseconds, waiting for more work, and would take processors away from the next one. Then
comes one inference that does not count. The time of a block is the median of what was timed in it.

What counts are the rounds that others disturbed least: in which the system took the processor away least often, and
fewest threads of others wanted one. Every second round is timed at a raised priority where that is allowed. It keeps
long inferences undisturbed while others work all the time; but where others come and go it makes them wait in line, so
that they never go, and the rounds without it are the quiet ones.

Models that load quickly are loaded anew several times: where their memory and their threads come to lie decides as
much as how busy the machine is. It goes on until the interval of the ratio is narrow, or the time is over.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from .priority import raised_priority
from .ratios import Timings
from .rest import come_to_rest, count_preemptions

Clock = Callable[[], float]
"""Seconds that never go back."""
Calls = Sequence[Callable[[], None]]
"""One inference of each model, and nothing else."""
Counter = Callable[[], int]
"""How often the system took the processor away from this process so far."""
Rest = Callable[[], int]
"""Waits until this process is at rest; gives how many threads of other programs want a processor then."""

_WINDOW = 5
_STABLE_WITHIN = 0.05
_CHUNK_SECONDS = 0.0005
"""So many inferences are timed together that it takes at least this long: far above the clock's grain."""
_BLOCK_SECONDS = 0.02
_MOST_CHUNKS = 25
_MOST_INFERENCES = 100
_WARM_UP_SHARE = 0.25
_FEWEST_ROUNDS = 5
_ENOUGH_ROUNDS = 15
_CHECK_EVERY = 10
_NARROW = 0.01
"""Half the width of the interval, as a share of the ratio, at which more rounds would not tell more."""
_LOADINGS = 8
_LOADING_SHARE = 0.25
"""Models are loaded anew if that takes at most this share of the time that they are measured for then."""


@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """How long to measure.

    Attributes:
        seconds: about how long all rounds take together if they agree.
        most_seconds: until when it may go on, because the interval is wide or the rounds are few.
        most_rounds: enough for a quick model.
        seed: of the bootstrap.
    """

    seconds: float = 10.0
    most_seconds: float = 24.0
    most_rounds: int = 2000
    seed: int = 0


def measure(
    calls: Calls,
    options: TimingOptions,
    *,
    clock: Clock = time.perf_counter,
    preemptions: Counter | None = None,
    rest: Rest | None = None,
    reload: Callable[[], Calls] | None = None,
) -> Timings:
    """Times models in interleaved rounds.

    Args:
        calls: each does one inference and nothing else. The last one is what the others are compared with.
        options: how long.
        clock: replaced in tests.
        preemptions: replaced in tests; None: of this process, where the system counts them.
        rest: waits until the process is at rest; replaced in tests.
        reload: loads the models anew and gives their calls, in the same order; None: they stay as they are.
    """
    machine = _Machine(clock=clock, preemptions=preemptions or count_preemptions, rest=rest or come_to_rest)
    with _without_garbage_collection():
        warmed_up, estimates = _warm_up(calls, options.seconds * _WARM_UP_SHARE, clock)
        blocks = [_block(call, estimate) for call, estimate in zip(calls, estimates, strict=True)]
        record = _rounds(blocks, options, machine, reload)
    return Timings(
        seconds=np.array(record.times),
        disturbances=np.array(record.disturbances),
        loading=np.array(record.loading),
        inferences=tuple(block.inferences * block.chunks for block in blocks),
        warmed_up=warmed_up,
        raised=record.raised,
    )


def _warm_up(calls: Calls, seconds: float, clock: Clock) -> tuple[bool, list[float]]:
    """Runs until the last times of every model equal those before them; gives the seconds per inference."""
    history: list[list[float]] = [[] for _ in calls]
    end = clock() + seconds
    while True:
        for call, times in zip(calls, history, strict=True):
            times.append(_time(call, 1, clock))
        stable = all(_is_stable(times) for times in history)
        if stable or clock() >= end:
            return stable, [statistics.median(times[-_WINDOW:]) for times in history]


def _is_stable(times: Sequence[float]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    last, before = statistics.median(times[-_WINDOW:]), statistics.median(times[-2 * _WINDOW : -_WINDOW])
    return abs(last - before) <= _STABLE_WITHIN * before


@dataclass(frozen=True, kw_only=True)
class _Machine:
    """What is asked of the system while measuring."""

    clock: Clock
    preemptions: Counter
    rest: Rest


@dataclass(frozen=True, kw_only=True)
class _Block:
    """One turn of a model: ``chunks`` times so many ``inferences`` together."""

    call: Callable[[], None]
    inferences: int
    chunks: int

    def time(self, machine: _Machine) -> tuple[float, int]:
        """Seconds per inference, and how often others had, or wanted, the processor."""
        bystanders = machine.rest()
        self.call()
        before = machine.preemptions()
        times = [_time(self.call, self.inferences, machine.clock) for _ in range(self.chunks)]
        return statistics.median(times), machine.preemptions() - before + bystanders


def _block(call: Callable[[], None], estimate: float) -> _Block:
    inferences = max(1, min(_MOST_INFERENCES, math.ceil(_CHUNK_SECONDS / max(estimate, 1e-9))))
    chunks = max(1, min(_MOST_CHUNKS, math.ceil(_BLOCK_SECONDS / max(estimate * inferences, 1e-9))))
    return _Block(call=call, inferences=inferences, chunks=chunks)


@dataclass(kw_only=True)
class _Record:
    """What was timed so far, round by round."""

    times: list[list[float]]
    disturbances: list[int]
    loading: list[int]
    raised: bool = False


def _rounds(
    blocks: Sequence[_Block], options: TimingOptions, machine: _Machine, reload: Callable[[], Calls] | None
) -> _Record:
    record = _Record(times=[[] for _ in blocks], disturbances=[], loading=[])
    start, loadings = machine.clock(), 1
    while len(record.disturbances) < options.most_rounds:
        _round(blocks, record, machine)
        record.loading.append(loadings)
        elapsed = machine.clock() - start
        if _is_over(elapsed, record, options):
            break
        if reload is not None and elapsed >= loadings * options.seconds / _LOADINGS:
            blocks = [replace(block, call=call) for block, call in zip(blocks, reload(), strict=True)]
            loadings += 1
            took = machine.clock() - start - elapsed
            reload = reload if took <= _LOADING_SHARE * options.seconds / _LOADINGS else None
    return record


def _round(blocks: Sequence[_Block], record: _Record, machine: _Machine) -> None:
    """Every model once; at the raised priority in every second round."""
    number, disturbances = len(record.disturbances), 0
    with raised_priority() if number % 2 else nullcontext(False) as raised:
        for turn in range(len(blocks)):
            index = (turn + number // 2) % len(blocks)
            seconds, others = blocks[index].time(machine)
            record.times[index].append(seconds)
            disturbances += others
    record.disturbances.append(disturbances)
    record.raised = record.raised or raised


def _is_over(elapsed: float, record: _Record, options: TimingOptions) -> bool:
    rounds = len(record.disturbances)
    if rounds < _FEWEST_ROUNDS or elapsed < options.seconds:
        return False
    if elapsed >= options.most_seconds:
        return True
    if rounds < _ENOUGH_ROUNDS:
        return False
    return rounds % _CHECK_EVERY == 0 and _is_narrow(record, options.seed)


def _is_narrow(record: _Record, seed: int) -> bool:
    """Whether every ratio to the last model is known well enough."""
    timings = Timings(
        seconds=np.array(record.times),
        disturbances=np.array(record.disturbances),
        loading=np.array(record.loading),
        inferences=(),
        warmed_up=True,
    )
    found = [timings.ratio(model, seed=seed) for model in range(len(record.times) - 1)]
    return all(entry.high - entry.low <= 2 * _NARROW * entry.ratio for entry in found)


def _time(call: Callable[[], None], inferences: int, clock: Clock) -> float:
    start = clock()
    for _ in range(inferences):
        call()
    return (clock() - start) / inferences


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
