"""Energy per inference, where the platform counts it: RAPL of Intel and AMD processors, through Linux' powercap."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")
_SECONDS = 1.0
_TURNS = 3


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of the whole processor package while models ran.

    Attributes:
        counter: where it was read, "" if there is none.
        note: why there is none, or what it holds.
        millijoules: per inference, per model; empty without a counter.
    """

    counter: str
    note: str
    millijoules: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One counter: microjoules that go up, and start again at ``limit``."""

    folder: Path
    limit: int

    def read(self) -> int:
        """Microjoules so far."""
        return int((self.folder / "energy_uj").read_text())

    def since(self, start: int) -> int:
        """Microjoules since an earlier reading."""
        difference = self.read() - start
        return difference if difference >= 0 else difference + self.limit


def find_domains(root: Path = _POWERCAP) -> tuple[Domain, ...]:
    """The package domains that can be read; parts of a package (cores, memory) are not counted twice."""
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        if folder.name.count(":") != 1:
            continue
        try:
            domain = Domain(folder=folder, limit=int((folder / "max_energy_range_uj").read_text()))
            domain.read()
        except (OSError, ValueError):
            continue
        found.append(domain)
    return tuple(found)


def measure_energy(
    calls: Sequence[Callable[[], None]],
    *,
    root: Path = _POWERCAP,
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Energy:
    """Runs the models in turns and reads the counters around each turn.

    Args:
        calls: each does one inference.
        root: of the counters; replaced in tests.
        seconds: of each model, over all turns.
        clock: replaced in tests.
    """
    domains = find_domains(root)
    if not domains:
        return Energy(counter="", note=_absent(root), millijoules=())
    spent, runs = [0] * len(calls), [0] * len(calls)
    for _ in range(_TURNS):
        for index, call in enumerate(calls):
            starts = [domain.read() for domain in domains]
            end = clock() + seconds / _TURNS
            while clock() < end:
                call()
                runs[index] += 1
            spent[index] += sum(domain.since(start) for domain, start in zip(domains, starts, strict=True))
    return Energy(
        counter="RAPL " + ", ".join(domain.folder.name for domain in domains),
        note="the whole processor package, whatever else ran on it",
        millijoules=tuple(energy / count / 1000 for energy, count in zip(spent, runs, strict=True)),
    )


def _absent(root: Path) -> str:
    if any(root.glob("intel-rapl:*")):
        return "the platform has an energy counter (RAPL), but this user may not read it"
    return "the platform has no energy counter that can be read"
