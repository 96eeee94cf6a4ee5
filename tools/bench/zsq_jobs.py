"""Processes of the zero-shot benchmark: what is missing is measured, several at a time, the longest first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

from zsq_cells import Cell, Result, Source
from zsq_data import subject

LOG = "jobs.jsonl"
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
    """One process."""

    name: str
    arguments: tuple[str, ...]
    weight: float


def run(wanted: Sequence[Cell], work: Path, machine: Machine) -> list[str]:
    """Measures what is missing of this shard; returns what failed, or was not reached in time."""
    mine = _of_shard(wanted, machine)
    missing = [cell for cell in mine if load(cell, work) is None]
    started = time.monotonic()
    absent = [source for source in dict.fromkeys(cell.source for cell in missing) if not _calibrated(source, work)]
    failures = _in_parallel([_calibration(source, work) for source in absent], work, machine, started)
    ready = [cell for cell in missing if _calibrated(cell.source, work)]
    return failures + _in_parallel([_measuring(chunk, work) for chunk in _chunks(ready)], work, machine, started)


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


def _calibrated(source: Source, work: Path) -> bool:
    return (work / "calibrations" / f"{source.key}.json").is_file()


def _chunks(cells: Sequence[Cell]) -> Iterator[tuple[Cell, ...]]:
    """Learned cells alone, the others of a source together."""
    cheap: dict[Source, list[Cell]] = {}
    for cell in cells:
        if cell.rounding == "adaround":
            yield (cell,)
        else:
            cheap.setdefault(cell.source, []).append(cell)
    for group in cheap.values():
        yield from (tuple(group[start : start + _CHUNK]) for start in range(0, len(group), _CHUNK))


def _calibration(source: Source, work: Path) -> Job:
    slow = {"generator": 3.0, "generator-conditional": 3.0, "prior": 0.3, "random": 0.1, "data": 0.2, "moments": 0.1}
    weight = slow.get(source.calibrator, 1.0) * (5 if subject(source.network).large else 1)
    weight *= 8 if source.effort == "thorough" else 1
    arguments = ("calibrate", json.dumps(asdict(source)), str(work))
    return Job(name=f"calibrate {source.key}", arguments=arguments, weight=weight)


def _measuring(cells: Sequence[Cell], work: Path) -> Job:
    learned = cells[0].rounding == "adaround"
    weight = (20.0 if learned else len(cells)) * (3 if subject(cells[0].source.network).large else 1)
    arguments = ("measure", json.dumps([asdict(cell) for cell in cells]), str(work))
    name = cells[0].key if len(cells) == 1 else f"{cells[0].key} and {len(cells) - 1} more"
    return Job(name=name, arguments=arguments, weight=weight)


def _in_parallel(jobs: Sequence[Job], work: Path, machine: Machine, started: float) -> list[str]:
    places: SimpleQueue[int] = SimpleQueue()
    for place in range(machine.jobs):
        places.put(place)

    def launch(job: Job) -> str:
        if machine.deadline is not None and time.monotonic() - started > machine.deadline:
            return "not reached in time"
        place = places.get()
        try:
            return _run(job, work, machine, place)
        finally:
            places.put(place)

    ordered = sorted(jobs, key=lambda job: -job.weight)
    failures = []
    with ThreadPoolExecutor(machine.jobs) as pool:
        for number, (job, failure) in enumerate(zip(ordered, pool.map(launch, ordered), strict=True), 1):
            print(f"[{number}/{len(jobs)}] {job.name}{': ' + failure if failure else ''}", file=sys.stderr, flush=True)
            failures += [f"{job.name}: {failure}"] if failure else []
    return failures


def _run(job: Job, work: Path, machine: Machine, place: int) -> str:
    """One process on cores of its own; the last line of its complaint, or nothing."""
    count = str(machine.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    line = [*_pinned(machine, place), sys.executable, str(Path(__file__).with_name("zsq_cells.py")), *job.arguments]
    start = time.monotonic()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOG).open("a") as log:
        log.write(json.dumps({"job": job.name, "seconds": round(time.monotonic() - start, 2)}) + "\n")
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def _pinned(machine: Machine, place: int) -> list[str]:
    """``taskset`` to this place's own cores, where there are enough for all."""
    cores = sorted(os.sched_getaffinity(0))
    if machine.jobs * machine.threads > len(cores):
        return []
    own = cores[place * machine.threads : (place + 1) * machine.threads]
    return ["taskset", "-c", ",".join(map(str, own))]
