"""Latency of several models side by side on a machine that does other things, too.

Models take turns in short blocks, beginning with another one in each round, so that a slow moment of the machine hits
all of them alike and cancels in the ratio of a round. Before a block the process comes to rest: worker threads of the
model before spin for tens of milliseconds, waiting for more work, and would take processors away from the next one.
Then comes one inference that does not count. The time of a block is the median of what was timed in it. Rounds in
which the system took the processor away are set aside where enough others are left, and the system is asked not to.
Models that load quickly are loaded anew several times: where their memory and their threads come to lie decides as
much as how busy the machine is. It goes on until the interval of the ratio is narrow, or the time is over.
"""

from __future__ import annotations

import gc
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .priority import raised_priority

Clock = Callable[[], float]
"""Seconds that never go back."""
Calls = Sequence[Callable[[], None]]
"""One inference of each model, and nothing else."""
Counter = Callable[[], int]
"""How often the system took the processor away from this process so far."""

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
_FEWEST_QUIET = 15
_RESAMPLES = 1000
_LOADINGS = 8
_FEWEST_LOADINGS = 4
_LOADING_SHARE = 0.25
"""Models are loaded anew if that takes at most this share of the time that they are measured for then."""
_REST_STEP = 0.001
_MOST_REST = 0.25
_AT_REST = 0.2
"""Share of one processor that a process at rest uses at most."""
_THREADS = Path("/proc/self/task")


@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """How long to measure.

    Attributes:
        seconds: about how long all rounds take together if they agree.
        most_seconds: until when it may go on, because the interval is wide or the rounds are few.
        most_rounds: enough for a quick model.
        seed: of the bootstrap.
    """

    seconds: float = 6.0
    most_seconds: float = 18.0
    most_rounds: int = 2000
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Timings:
    """Times of every model, round by round.

    Attributes:
        seconds: [models, rounds], seconds per inference.
        quiet: [rounds], in which the processor was not taken away.
        loading: [rounds], which loading of the models it was.
        inferences: timed in one block, per model.
        warmed_up: the times had become stable before the first round.
        raised: the system gave this process the highest priority.
    """

    seconds: NDArray[np.float64]
    quiet: NDArray[np.bool_]
    loading: NDArray[np.int64]
    inferences: tuple[int, ...]
    warmed_up: bool
    raised: bool = False

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[rounds]: the quiet ones if there are enough of them, else all."""
        return self.quiet if self.quiet.sum() >= _FEWEST_QUIET else np.ones_like(self.quiet)

    @property
    def kept(self) -> NDArray[np.float64]:
        """[models, rounds that count]."""
        return self.seconds[:, self.counted]

    def ratio(self, model: int, *, seed: int = 0) -> Ratio:
        """How many times longer a model takes than the last one, over the rounds that count."""
        times = self.kept
        return ratio_of(times[model], times[-1], loading=self.loading[self.counted], seed=seed)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times longer one model takes than another: median of the paired rounds, 95 % interval."""

    ratio: float
    low: float
    high: float


def measure(
    calls: Calls,
    options: TimingOptions,
    *,
    clock: Clock = time.perf_counter,
    preemptions: Counter | None = None,
    rest: Callable[[], None] | None = None,
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
    with _without_garbage_collection(), raised_priority() as raised:
        warmed_up, estimates = _warm_up(calls, options.seconds * _WARM_UP_SHARE, clock)
        blocks = [_block(call, estimate) for call, estimate in zip(calls, estimates, strict=True)]
        record = _rounds(blocks, options, machine, reload)
    return Timings(
        seconds=np.array(record.times),
        quiet=np.array(record.quiet),
        loading=np.array(record.loading),
        inferences=tuple(block.inferences * block.chunks for block in blocks),
        warmed_up=warmed_up,
        raised=raised,
    )


def ratio_of(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    *,
    loading: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Ratio:
    """Median ratio of paired rounds with its percentile-bootstrap interval (Efron & Tibshirani 1993, ch. 13).

    Args:
        numerator, denominator: seconds per inference of the same rounds.
        loading: which loading of the models each round belongs to; of several, whole loadings are drawn, because their
            rounds have more in common than the rounds of different ones.
        seed: of the resampling.
    """
    ratios = numerator / denominator
    random = np.random.default_rng(seed)
    groups = [] if loading is None else [ratios[loading == number] for number in np.unique(loading)]
    if len(groups) >= _FEWEST_LOADINGS:
        drawn = random.integers(0, len(groups), (_RESAMPLES, len(groups)))
        medians = [np.median(np.concatenate([groups[index] for index in row])) for row in drawn]
    else:
        medians = list(np.median(ratios[random.integers(0, len(ratios), (_RESAMPLES, len(ratios)))], axis=1))
    low, high = np.percentile(medians, (2.5, 97.5))
    middle = float(np.median(ratios))
    return Ratio(ratio=middle, low=min(float(low), middle), high=max(float(high), middle))


def count_preemptions() -> int:
    """Involuntary context switches of all threads of this process; 0 where the system does not count them."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


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
    rest: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class _Block:
    """One turn of a model: ``chunks`` times so many ``inferences`` together."""

    call: Callable[[], None]
    inferences: int
    chunks: int

    def time(self, machine: _Machine) -> tuple[float, bool]:
        """Seconds per inference, and whether the processor was ours all the time."""
        machine.rest()
        self.call()
        before = machine.preemptions()
        times = [_time(self.call, self.inferences, machine.clock) for _ in range(self.chunks)]
        return statistics.median(times), machine.preemptions() == before


def _block(call: Callable[[], None], estimate: float) -> _Block:
    inferences = max(1, min(_MOST_INFERENCES, math.ceil(_CHUNK_SECONDS / max(estimate, 1e-9))))
    chunks = max(1, min(_MOST_CHUNKS, math.ceil(_BLOCK_SECONDS / max(estimate * inferences, 1e-9))))
    return _Block(call=call, inferences=inferences, chunks=chunks)


def come_to_rest() -> None:
    """Waits until no other thread of this process works, a quarter of a second at most."""
    end = time.perf_counter() + _MOST_REST
    while time.perf_counter() < end:
        busy = time.process_time()
        time.sleep(_REST_STEP)
        if time.process_time() - busy < _AT_REST * _REST_STEP and not _others_run():
            return


def _others_run() -> bool:
    """Whether another thread runs or waits for a processor, as Linux tells; False elsewhere."""
    own = str(threading.get_native_id())
    try:
        stats = [entry / "stat" for entry in _THREADS.iterdir() if entry.name != own]
    except OSError:
        return False
    return any(_state(stat) == "R" for stat in stats)


def _state(stat: Path) -> str:
    """The letter behind the name in brackets."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


@dataclass(kw_only=True)
class _Record:
    """What was timed so far, round by round."""

    times: list[list[float]]
    quiet: list[bool]
    loading: list[int]


def _rounds(
    blocks: Sequence[_Block], options: TimingOptions, machine: _Machine, reload: Callable[[], Calls] | None
) -> _Record:
    record = _Record(times=[[] for _ in blocks], quiet=[], loading=[])
    start, loadings = machine.clock(), 1
    while len(record.quiet) < options.most_rounds:
        calm = True
        for turn in range(len(blocks)):
            index = (turn + len(record.quiet)) % len(blocks)
            seconds, undisturbed = blocks[index].time(machine)
            record.times[index].append(seconds)
            calm = calm and undisturbed
        record.quiet.append(calm)
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


def _is_over(elapsed: float, record: _Record, options: TimingOptions) -> bool:
    rounds = len(record.quiet)
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
        quiet=np.array(record.quiet),
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
