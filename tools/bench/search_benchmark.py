"""Runs `convert --search --min-agreement 99` on the assets, and holds what comes out against real data.

    python tools/bench/search_benchmark.py                                   # every network and target below
    python tools/bench/search_benchmark.py -n espcn_x3_224 -t tflite
    python tools/bench/search_benchmark.py --jobs 7      # so many at a time, each on two cores of its own

Needs the evaluation assets (ZSQ_ASSETS); mAP and PSNR also opencv-python-headless and pycocotools. Artifacts are kept
under <work>; delete one to search again. Seconds are wall time on this machine: let it do nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import networks
import numpy as np
from estimate_cells import DENSE, FILES, real_inputs
from numpy.typing import NDArray
from verdicts import Verdict, at_least, at_most

from zsq_export.artifact import PLAN_NAME, read_artifact
from zsq_export.backends.registry import get_backend
from zsq_export.estimate.features import set_features
from zsq_export.execution.batching import run_in_batches
from zsq_export.execution.ort_session import OrtSession
from zsq_export.manifest import Manifest
from zsq_export.planning.plan_json import plan_from_json

AGREEMENT = 99.0
SECONDS = 300.0
CORES = 2
TARGETS = ("tflite", "openvino", "onnxruntime")
SPECS = {"vit_d6_smmk47": ("--mean", "0.4914,0.4822,0.4465", "--std", "0.2023,0.1994,0.2010")}
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def search(file: str, target: str, work: Path) -> dict[str, Any]:
    """Where the search ended, unless it is there: as ``--json`` says it, with seconds and processor seconds."""
    output = work / f"{Path(file).stem}.{target}"
    log = output.with_suffix(output.suffix + ".json")
    if not output.exists():
        line = [sys.executable, "-m", "zsq_export", "convert", str(networks.assets_dir() / file), "--target", target,
                "-o", str(output), "--search", "--min-agreement", f"{AGREEMENT:g}", "--json",
                *SPECS.get(Path(file).stem, ())]  # fmt: skip
        start = time.perf_counter()
        with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(line, stdout=told, stderr=errors)
            _pid, status, usage = os.wait4(process.pid, 0)
            seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
            told.seek(0)
            errors.seek(0)
            if process.returncode not in (0, 3):
                raise RuntimeError(errors.read().strip())
            found = json.load(told)["searches"][target]
        found |= {"seconds": seconds, "processor_seconds": usage.ru_utime + usage.ru_stime}
        log.write_text(json.dumps(found, indent=1) + "\n")
    found = json.loads(log.read_text())
    return dict(found)


def measure(file: str, target: str, work: Path) -> Iterator[Verdict | str]:
    """Every figure of one search."""
    name, output = f"{Path(file).stem} on {target}", work / f"{Path(file).stem}.{target}"
    found = search(file, target, work)
    artifact = read_artifact(output)
    plan = plan_from_json((output / PLAN_NAME).read_text())
    yield at_least(f"{name}: expected agreement, %", found["estimate"]["percent"], AGREEMENT)
    yield at_most(f"{name}: seconds", found["seconds"], SECONDS)
    floats = sum("search" in op.reason for op in plan.float_ops)
    yield (f"      {name}: {plan.search[0].agreement:.1f} -> {found['estimate']['percent']:.1f} % expected, {floats} "
           f"nodes left in float, {plan.search[0].speedup or 0:.2f} -> {found['timing']['ratio']:.2f} x float, "
           f"{found['processor_seconds']:.0f} s of processor time")  # fmt: skip
    yield from _honest(name, found)
    runner = get_backend(target).open(artifact.entry, threads=2)
    inner = artifact.manifest.inputs[0].name
    reference = OrtSession(networks.assets_dir() / file, threads=2)
    ours: Run = lambda x: next(iter(runner.run({inner: x}).values()))  # noqa: E731
    floating: Run = lambda x: next(iter(reference.run({inner: x}).values()))  # noqa: E731
    yield from _on_real_data(file, name, ours, floating, artifact.manifest)


def _honest(name: str, found: dict[str, object]) -> Iterator[Verdict]:
    """A plan that is not faster than float has to say so."""
    timing, notes = found["timing"], found["notes"]
    assert isinstance(timing, dict) and isinstance(notes, list)
    slow = timing["low"] <= 1
    yield at_least(
        f"{name}: {timing['ratio']:.2f} x {timing['baseline']}; said if not faster", float(bool(notes) or not slow), 1
    )


def _on_real_data(file: str, name: str, ours: Run, floating: Run, manifest: Manifest) -> Iterator[Verdict | str]:
    inputs = real_inputs(file)
    shapes = {manifest.inputs[0].name: manifest.inputs[0].shape}
    exact, found = (_all(run, inputs, shapes) for run in (floating, ours))
    agreement = 100 * set_features(exact, found).agreement
    if Path(file).stem not in DENSE:
        yield at_least(f"{name}: agreement on real data, %", agreement, AGREEMENT - 1)
        return
    yield f"      {name}: agreement on real data {agreement:.2f} %"
    try:
        from tflite_tasks import map_of, psnr_of

        score, loss = (psnr_of, 0.1) if "espcn" in file else (map_of, 1.0)
        before, after = score(floating), score(ours)
    except ImportError as error:
        yield f"      {name}: task not measured, {error}"
        return
    yield at_least(f"{name}: {'PSNR' if 'espcn' in file else 'COCO mAP'}", after, before - loss)


def _all(run: Run, inputs: NDArray[np.float32], shapes: dict[str, tuple[int | None, ...]]) -> NDArray[np.float32]:
    class Session:
        input_shapes = shapes

        @staticmethod
        def run(feeds: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
            return {"y": run(next(iter(feeds.values())))}

    return np.concatenate([batch["y"] for batch in run_in_batches(Session(), {next(iter(shapes)): inputs}, 32)])


def main() -> int:
    """1 if anything needed was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--network", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("-t", "--target", action="append", default=[], help="default: all three")
    parser.add_argument("--jobs", type=int, default=1, help="searches at a time")
    parser.add_argument("--work", type=Path, default=Path("build/bench/search"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    wanted = [(file, target) for target in options.target or TARGETS for file in reversed(FILES)
              if not options.network or Path(file).stem in options.network]  # fmt: skip
    cores = sorted(os.sched_getaffinity(0))
    places: SimpleQueue[set[int]] = SimpleQueue()
    for place in range(options.jobs):
        places.put(set(cores[CORES * place : CORES * (place + 1)]) if options.jobs > 1 else set(cores))

    def one(pair: tuple[str, str]) -> bool:
        place = places.get()
        os.sched_setaffinity(0, place)  # of this thread, and of what it starts
        try:
            lines = list(measure(*pair, options.work))
        except Exception as error:
            lines = [f"FAIL  {Path(pair[0]).stem} on {pair[1]}: {error}"]
        places.put(place)
        print("\n".join(map(str, lines)), flush=True)
        return all(line.passed if isinstance(line, Verdict) else not line.startswith("FAIL") for line in lines)

    with ThreadPoolExecutor(options.jobs) as pool:
        return 0 if all(pool.map(one, wanted)) else 1


if __name__ == "__main__":
    sys.exit(main())
