"""Processes of the zero-shot benchmark: what is missing is measured, several at a time, the longest first."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from zsq_cells import Cell, Result, Source, write_json
from zsq_data import subject
from zsq_measure import calibrate, measure

LOG = "jobs.jsonl"
LEARNED = "adaround"
_CHUNK, _CHUNK_LARGE = 8, 1
"""Cells that one process measures."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the benchmark may use.

    Attributes:
        jobs: processes at a time.
        threads: of each.
        shard, shards: this run's part of the sources, counted from 1, and how many parts there are.
        deadline: seconds after which no process is started; None: never.
    """

    jobs: int = 2
    threads: int = 1
    shard: int = 1
    shards: int = 1
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process.

    Attributes:
        name: for people.
        source: to calibrate; None: the cells' is calibrated.
        cells: to measure.
        weight: how long it takes, roughly.
        rank: jobs of a smaller one go first.
        followers: may start when it has succeeded.
    """

    name: str
    source: Source | None = None
    cells: tuple[Cell, ...] = ()
    weight: float
    rank: int
    followers: tuple[Job, ...] = ()

    @property
    def urgency(self) -> tuple[int, float]:
        """Rank, then its own weight and that of the longest follower; the smallest goes first."""
        return self.rank, -self.weight - max((job.weight for job in self.followers), default=0.0)


def run(wanted: Sequence[Cell], work: Path, machine: Machine, essential: frozenset[Cell] = frozenset()) -> list[str]:
    """Measures what is missing of this shard, what is essential first.

    Returns:
        What failed, or was not reached in time.
    """
    missing = [cell for cell in _of_shard(wanted, machine) if load(cell, work) is None]
    jobs: list[Job] = []
    for source in dict.fromkeys(cell.source for cell in missing):
        chunks = _chunks([cell for cell in missing if cell.source == source])
        measuring = tuple(_measuring(chunk, essential) for chunk in chunks)
        calibrated = (work / "calibrations" / f"{source.key}.json").is_file()
        jobs += measuring if calibrated else (_calibration(source, measuring),)
    work.mkdir(parents=True, exist_ok=True)
    return Workers(machine, work).run(jobs)


def load(cell: Cell, work: Path) -> Result | None:
    """The result of an earlier run, if there is one."""
    return Result.load(work / "zsq" / f"{cell.key}.json")


def core_seconds(work: Path) -> float:
    """Of all processes so far: their wall seconds times their threads."""
    path = work / LOG
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(float(entry["seconds"]) * int(entry["threads"]) for entry in map(json.loads, lines))


def _of_shard(wanted: Sequence[Cell], machine: Machine) -> list[Cell]:
    """Sources are dealt out in turn; all cells of a source stay together, as they share its calibration."""
    sources = list(dict.fromkeys(cell.source for cell in wanted))
    mine = set(sources[machine.shard - 1 :: machine.shards])
    return [cell for cell in wanted if cell.source in mine]


def _chunks(cells: Sequence[Cell]) -> Iterator[tuple[Cell, ...]]:
    """Learned cells alone, the others a few together."""
    yield from ((cell,) for cell in cells if cell.rounding == LEARNED)
    cheap = [cell for cell in cells if cell.rounding != LEARNED]
    size = _CHUNK_LARGE if subject(cells[0].source.network).large else _CHUNK
    yield from (tuple(cheap[start : start + size]) for start in range(0, len(cheap), size))


def _calibration(source: Source, followers: tuple[Job, ...]) -> Job:
    slow = {"generator": 3.0, "generator-conditional": 3.0, "prior": 0.3, "random": 0.1, "data": 0.2, "moments": 0.1}
    weight = slow.get(source.calibrator, 1.0) * (5 if subject(source.network).large else 1)
    weight *= 8 if source.effort == "thorough" else 1
    rank = min(job.rank for job in followers)
    return Job(name=f"calibrate {source.key}", source=source, weight=weight, rank=rank, followers=followers)


def _measuring(cells: tuple[Cell, ...], essential: frozenset[Cell]) -> Job:
    learned = cells[0].rounding == LEARNED
    weight = (20.0 if learned else len(cells)) * (6 if subject(cells[0].source.network).large else 1)
    name = cells[0].key if len(cells) == 1 else f"{cells[0].key} and {len(cells) - 1} more"
    return Job(name=name, cells=cells, weight=weight, rank=0 if essential.intersection(cells) else 1)


class Workers:
    """Runs jobs, the most urgent first, each in a process on cores of its own."""

    def __init__(self, machine: Machine, work: Path) -> None:
        self._machine, self._work = machine, work
        self._started = time.monotonic()
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running = self._done = self._total = 0
        self._failures: list[str] = []
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(machine.threads)
        # Forked from a server that has imported everything: starting Python anew takes longer than a cheap cell.
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["zsq_jobs"])

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
            job = min(self._waiting, key=lambda waiting: waiting.urgency)
            self._waiting.remove(job)
            self._running += 1
            return job

    def _process(self, job: Job, place: int) -> str:
        """What went wrong, or nothing."""
        start = time.monotonic()
        parent, child = self._processes.Pipe(duplex=False)
        bare = replace(job, followers=())
        process = self._processes.Process(target=_work, args=(bare, self._work, self._cores(place), child))
        process.start()
        child.close()
        try:
            failure: str = parent.recv()
        except EOFError:
            failure = ""
        process.join()
        entry = {"job": job.name, "seconds": round(time.monotonic() - start, 2), "threads": self._machine.threads}
        with self._changed, (self._work / LOG).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        return failure or ("" if process.exitcode == 0 else f"the process ended with {process.exitcode}")

    def _cores(self, place: int) -> list[int]:
        """This place's own, where there are enough for all."""
        cores, threads = sorted(os.sched_getaffinity(0)), self._machine.threads
        enough = self._machine.jobs * threads <= len(cores)
        return cores[place * threads : (place + 1) * threads] if enough else cores


def _work(job: Job, work: Path, cores: list[int], answer: Connection) -> None:
    """In the process: everything that the job says."""
    import torch

    os.sched_setaffinity(0, cores)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        if job.source is not None:
            calibrate(job.source, work)
        for cell in job.cells:
            write_json(work / "zsq" / f"{cell.key}.json", asdict(measure(cell, work)))
    except Exception as error:
        answer.send(f"{type(error).__name__}: {error}")
        raise
