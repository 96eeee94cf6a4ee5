"""Collects the estimate's cells on a machine of many cores that has Python and torch but no registry.

    python tools/bench/estimate_device.py stage FOLDER           # here: assets, wheel and scripts in one folder
    python FOLDER/estimate_device.py run FOLDER --seed 1 --work WORK --out OUT   # there; goes on from what is in WORK

``run`` needs the wheel and the runtimes of the three targets on the path. What comes back, ``cells.N.tgz``, is unpacked
into the work folder of ``estimate_benchmark.py``: outputs with 16 bits of mantissa, those without classes thinned.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

SCRIPTS = ("estimate_cells.py", "estimate_device.py", "networks.py")
DATA = ("assets.py", "cifar10/cifar10_test1000.npz", "imagenet/ilsvrc2012_val650_227px.zip", "mlperf_tiny/kws01.npz",
        "superres/baby.png", "superres/bird.png", "superres/butterfly.png", "superres/head.png",
        "superres/woman.png")  # fmt: skip
APART = "coco/coco_val2017_158.zip"
"""For another call, as all together is too much for one."""
ASSETS = "assets.tar"
PIECE = 15_000_000
"""Bytes of outputs in one archive."""
DENSE_KEPT = 200_000
"""Values kept of an output without classes."""
GRACE = 90.0
"""Seconds after which a process is ended that was running when nothing was to be started any more."""
SLOWEST = ("fastestdet_352", "efficientnet_lite0_224", "mobilenetv1_075_224", "resnet56_akamaster", "vit_d6_smmk47")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process: a calibration, or the held-out sets and float outputs of a network, or a cell."""

    network: str
    seed: int
    calibrator: str | None = None
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which cells are measured; ``auto`` is calibrated in any case, as it tells the input convention."""

    seeds: tuple[int, ...]
    networks: tuple[str, ...]
    calibrators: tuple[str, ...]
    targets: tuple[str, ...]


def stage(folder: Path) -> None:
    """Copies what ``run`` needs but the photographs."""
    from estimate_cells import FILES
    from networks import assets_dir

    here, assets = Path(__file__).resolve().parent, assets_dir()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in SCRIPTS:
        shutil.copy(here / name, folder)
    with tarfile.open(folder / ASSETS, "w") as archive:
        for name in (*DATA, *FILES):
            archive.add(assets / name, name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(here.parents[1])]
    subprocess.run(command, check=True)


def run(work: Path, wanted: Wanted, jobs: int, deadline: float) -> None:
    """Every missing cell, the slow networks first, each process on a core of its own."""
    started, left = time.monotonic(), _all_jobs(wanted)
    total = len(left)
    done: set[Job] = set()
    running: dict[Future[None], Job] = {}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["estimate_cells", "torch"])
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[:jobs]:
        cores.put(core)

    def process(job: Job) -> None:
        core = cores.get()
        child = context.Process(target=_work, args=(job, work, core))
        child.start()
        child.join(max(0.0, started + deadline + GRACE - time.monotonic()))
        child.kill()
        child.join()
        cores.put(core)
        if child.exitcode:
            raise RuntimeError(f"ended with {child.exitcode}")

    with ThreadPoolExecutor(jobs) as pool:
        while left or running:
            late = time.monotonic() - started > deadline
            ready = [] if late else [job for job in left if all(needed in done for needed in _needs(job))]
            for job in ready[: jobs - len(running)]:
                running[pool.submit(process, job)] = job
                left.remove(job)
            if not running:
                break
            for finished in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(finished)
                failure = finished.exception()
                done |= set() if failure else {job}
                print(f"{time.monotonic() - started:6.1f} s {job} {failure or ''}", file=sys.stderr, flush=True)
    print(f"{len(left)} of {total} not reached", file=sys.stderr)


def _all_jobs(wanted: Wanted) -> list[Job]:
    """What everything else needs first; of the cells those of slow networks."""
    names = sorted(wanted.networks)
    names.sort(key=lambda name: SLOWEST.index(name) if name in SLOWEST else len(SLOWEST))
    each = [(name, seed) for name in names for seed in wanted.seeds]
    first = [Job(network=name, seed=seed, calibrator="auto") for name, seed in each]
    sets = [Job(network=name, seed=seed) for name, seed in each]
    others = [Job(network=name, seed=seed, calibrator=calibrator)
              for name, seed in each for calibrator in wanted.calibrators if calibrator != "auto"]  # fmt: skip
    cells = [Job(network=name, seed=seed, calibrator=calibrator, target=target)
             for name, seed in each for calibrator in wanted.calibrators for target in wanted.targets]  # fmt: skip
    slow = [job for job in cells if job.network in SLOWEST]
    return [*first, *sets, *others, *slow, *(job for job in cells if job not in slow)]


def _needs(job: Job) -> tuple[Job, ...]:
    sets = Job(network=job.network, seed=job.seed)
    if job.target is not None:
        return sets, replace(sets, calibrator=job.calibrator)
    return () if job.calibrator else (replace(sets, calibrator="auto"),)


def _work(job: Job, work: Path, core: int) -> None:
    os.sched_setaffinity(0, {core})
    import estimate_cells as cells
    import torch

    torch.set_num_threads(1)
    file = next(file for file in cells.FILES if Path(file).stem == job.network)
    calibrator, target = job.calibrator or "auto", job.target or cells.TARGETS[0]
    cell = cells.Cell(file=file, calibrator=calibrator, target=target, seed=job.seed)
    if job.target is not None:
        cells.collect(cell, work)
        shutil.rmtree(work / "artifacts" / cell.key, ignore_errors=True)
    elif job.calibrator is not None:
        cells.calibration_of(cell, work)
    else:
        cells.inputs_of(cell, work)


def pack(work: Path, out: Path) -> None:
    """The outputs of all cells that are there, in archives of about ``PIECE`` bytes."""
    out.mkdir(parents=True, exist_ok=True)
    for number, names in enumerate(_pieces(work)):
        with tarfile.open(out / f"cells.{number}.tgz", "w:gz", compresslevel=1) as archive:
            for name, content in names:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def _pieces(work: Path) -> Iterator[list[tuple[str, bytes]]]:
    piece: list[tuple[str, bytes]] = []
    for path in sorted(work.glob("*.npz")):
        if path.name.endswith((".cal.npz", ".sets.npz", ".tmp.npz")):
            continue
        with np.load(path) as arrays:
            content = io.BytesIO()
            np.savez_compressed(content, **{name: _thinned(arrays[name]) for name in arrays.files})
        if piece and sum(len(held) for _, held in piece) + content.tell() > PIECE:
            yield piece
            piece = []
        piece.append((path.name, content.getvalue()))
    if piece:
        yield piece


def _thinned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Classifiers' outputs have at most 1000 values a sample."""
    flat = array.reshape(len(array), -1)
    if flat.shape[1] > 1000:
        step = max(1, flat.size // DENSE_KEPT)
        array = flat[:, ::step]
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded: NDArray[np.float32] = ((bits + 0x80) & np.uint32(0xFFFFFF00)).view(np.float32)
    return rounded


def _wanted(options: argparse.Namespace) -> Wanted:
    from estimate_cells import CALIBRATORS, FILES, TARGETS

    return Wanted(
        seeds=tuple(options.seed or [1]),
        networks=tuple(options.network or [Path(file).stem for file in FILES]),
        calibrators=tuple(options.calibrator or CALIBRATORS),
        targets=tuple(options.target or TARGETS),
    )


def main() -> int:
    """Stages, or runs and packs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("stage", "run"))
    parser.add_argument("folder", type=Path)
    for option in ("--network", "--calibrator", "--target"):
        parser.add_argument(option, action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--seed", type=int, action="append", default=[], help="default: 1")
    parser.add_argument("--jobs", type=int, default=14)
    parser.add_argument("--deadline", type=float, default=400.0, help="seconds after which nothing is started")
    parser.add_argument("--work", type=Path, default=Path("build/bench/estimate"))
    parser.add_argument("--out", type=Path, default=Path("build/device"))
    options = parser.parse_args()
    if options.command == "stage":
        stage(options.folder)
        return 0
    assets = options.folder / "assets"
    if not assets.exists():
        with tarfile.open(options.folder / ASSETS) as archive:
            archive.extractall(assets, filter="data")
        if (options.folder / Path(APART).name).exists():
            shutil.copy(options.folder / Path(APART).name, assets / APART)
    os.environ["ZSQ_ASSETS"] = str(assets.resolve())
    os.environ["OMP_NUM_THREADS"] = "1"
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        run(options.work, _wanted(options), options.jobs, options.deadline)
    finally:
        pack(options.work, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
