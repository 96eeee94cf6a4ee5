"""Processes of the zero-shot benchmark: what is missing is measured, several at a time, the longest first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from zsq_cells import Cell, Result, Source
from zsq_data import subject

LOG = "jobs.jsonl"
LEARNED = "adaround"
_CHUNK = 8
"""Cells that one process measures: starting Python takes as long as a cheap cell."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the benchmark may use.

    Attributes:
        jobs: processes at a time.
        threads: of each.
        shard, shards: this run's part of the sources, counted from 1, and how many parts there are.
        deadline: seconds after which no process is started; None: never.
    """

    jobs: int = 1
    threads: int = 2
    shard: int = 1
    shards: int = 1
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process.

    Attributes:
        name: for people.
        arguments: of zsq_cells.py.
        weight: how long it takes, roughly.
        followers: may start when it has succeeded.
    """

    name: str
    arguments: tuple[str, ...]
    weight: float
    followers: tuple[Job, ...] = ()

    @property
    def urgency(self) -> float:
        """Its own weight and that of the longest follower."""
        return self.weight + max((job.weight for job in self.followers), default=0.0)


def run(wanted: Sequence[Cell], work: Path, machine: Machine) -> list[str]:
    """Measures what is missing of this shard; returns what failed, or was not reached in time."""
    missing = [cell for cell in _of_shard(wanted, machine) if load(cell, work) is None]
    jobs: list[Job] = []
    for source in dict.fromkeys(cell.source for cell in missing):
        measuring = tuple(_measuring(chunk, work) for chunk in _chunks([c for c in missing if c.source == source]))
        calibrated = (work / "calibrations" / f"{source.key}.json").is_file()
        jobs += measuring if calibrated else (replace(_calibration(source, work), followers=measuring),)
    work.mkdir(parents=True, exist_ok=True)
    return Workers(machine, work).run(jobs)


def load(cell: Cell, work: Path) -> Result | None:
    """The result of an earlier run, if there is one."""
    return Result.load(work / "zsq" / f"{cell.key}.json")


def seconds_spent(work: Path) -> float:
    """Wall seconds of all processes so far: what the whole takes where one of them fills the machine."""
    path = work / LOG
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(float(json.loads(line)["seconds"]) for line in lines)


def _of_shard(wanted: Sequence[Cell], machine: Machine) -> list[Cell]:
    """Sources are dealt out in turn; all cells of a source stay together, as they share its calibration."""
    sources = list(dict.fromkeys(cell.source for cell in wanted))
    mine = set(sources[machine.shard - 1 :: machine.shards])
    return [cell for cell in wanted if cell.source in mine]


def _chunks(cells: Sequence[Cell]) -> Iterator[tuple[Cell, ...]]:
    """Learned cells alone, the others together."""
    yield from ((cell,) for cell in cells if cell.rounding == LEARNED)
    cheap = [cell for cell in cells if cell.rounding != LEARNED]
    yield from (tuple(cheap[start : start + _CHUNK]) for start in range(0, len(cheap), _CHUNK))


def _calibration(source: Source, work: Path) -> Job:
    slow = {"generator": 3.0, "generator-conditional": 3.0, "prior": 0.3, "random": 0.1, "data": 0.2, "moments": 0.1}
    weight = slow.get(source.calibrator, 1.0) * (5 if subject(source.network).large else 1)
    weight *= 8 if source.effort == "thorough" else 1
    arguments = ("calibrate", json.dumps(asdict(source)), str(work))
    return Job(name=f"calibrate {source.key}", arguments=arguments, weight=weight)


def _measuring(cells: Sequence[Cell], work: Path) -> Job:
    learned = cells[0].rounding == LEARNED
    weight = (20.0 if learned else len(cells)) * (3 if subject(cells[0].source.network).large else 1)
    arguments = ("measure", json.dumps([asdict(cell) for cell in cells]), str(work))
    name = cells[0].key if len(cells) == 1 else f"{cells[0].key} and {len(cells) - 1} more"
    return Job(name=name, arguments=arguments, weight=weight)


class Workers:
    """Runs jobs, the most urgent first, each in a process on cores of its own."""

    def __init__(self, machine: Machine, work: Path) -> None:
        self._machine, self._work = machine, work
        self._started = time.monotonic()
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running = self._done = self._total = 0
        self._failures: list[str] = []

    def run(self, jobs: Sequence[Job]) -> list[str]:
        """Until nothing is left; returns what failed, or was not reached in time."""
        self._waiting = list(jobs)
        self._total = sum(1 + len(job.followers) for job in jobs)
        with ThreadPoolExecutor(self._machine.jobs) as pool:
            list(pool.map(self._serve, range(self._machine.jobs)))
        left = sum(1 + len(job.followers) for job in self._waiting)
        return self._failures + ([f"{left} processes not reached in time"] if left else [])

    def _serve(self, place: int) -> None:
        while (job := self._next()) is not None:
            failure = self._process(job, place)
            with self._changed:
                self._running -= 1
                self._done += 1
                self._waiting += [] if failure else job.followers
                self._failures += [f"{job.name}: {failure}"] if failure else []
                print(f"[{self._done}/{self._total}] {job.name}{': ' + failure if failure else ''}", file=sys.stderr)
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting and self._running:
                self._changed.wait()
            deadline = self._machine.deadline
            if not self._waiting or (deadline is not None and time.monotonic() - self._started > deadline):
                return None
            job = max(self._waiting, key=lambda waiting: waiting.urgency)
            self._waiting.remove(job)
            self._running += 1
            return job

    def _process(self, job: Job, place: int) -> str:
        """The last line of its complaint, or nothing."""
        count = str(self._machine.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        script = str(Path(__file__).with_name("zsq_cells.py"))
        start = time.monotonic()
        done = subprocess.run(
            [*_pinned(self._machine, place), sys.executable, script, *job.arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        entry = {"job": job.name, "seconds": round(time.monotonic() - start, 2)}
        with self._changed, (self._work / LOG).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def _pinned(machine: Machine, place: int) -> list[str]:
    """``taskset`` to this place's own cores, where there are enough for all."""
    cores = sorted(os.sched_getaffinity(0))
    if machine.jobs * machine.threads > len(cores):
        return []
    own = cores[place * machine.threads : (place + 1) * machine.threads]
    return ["taskset", "-c", ",".join(map(str, own))]
