"""Zero-shot quantization methods side by side: networks x calibrators x roundings x bits x seeds, in two protocols.

    python tools/bench/zsq_benchmark.py                      # everything on the CPU; resumes where it stopped
    python tools/bench/zsq_benchmark.py --quick              # a few minutes, for CI
    python tools/bench/zsq_benchmark.py -n resnet20_chenyaofo -b w4a4 -r adaround -s 0 -s 1 -s 2

Protocols: "deployable" quantizes every tensor that the target onnxruntime does, the first and last layer in 8 bits;
"literature" is that of papers (tools/bench/literature.py). Nothing is chosen on test data: each cell is the last state
of its method. Baselines in every table: random inputs, weights only (float activations), and real training images
through the same pipeline. Each result is a JSON file under <work>/zsq; delete it to measure again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import networks
from zsq_cells import Cell, Protocol, Result, Source
from zsq_tables import figure, markdown

CALIBRATORS = ("auto", "generator", "moments", "prior", "random", "data")
ROUNDINGS = ("nearest", "squant", "gptq", "adaround")
BITS = ("w8a8", "w4a8", "w6a6", "w5a5", "w4a4", "w3a3", "w4a32", "w3a32")
QUICK_NETWORKS = ("ic_resnet8",)
QUICK_BITS = ("w8a8", "w4a4")
LEARNED = "adaround"
LEARNED_CALIBRATORS = frozenset({"auto", "generator", "data"})
LARGE = frozenset({"efficientnet_lite0_224", "mobilenetv1_075_224"})


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the command line asks for."""

    networks: tuple[str, ...]
    calibrators: tuple[str, ...]
    roundings: tuple[str, ...]
    bits: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    seeds: tuple[int, ...]
    samples: int
    effort: str
    steps: int


def cells(choice: Choice) -> list[Cell]:
    """Every combination that makes sense.

    Learned rounding runs below 8 bits, on the inputs of the best calibrators only; on the large networks for W4A8 only,
    with a quarter of the samples, to stay within two hours. Real data and moments have no seed.
    """
    found: dict[Cell, None] = {}
    for network in networks.named(choice.networks):
        for calibrator in choice.calibrators:
            for seed in choice.seeds if calibrator not in {"data", "moments"} else choice.seeds[:1]:
                source = Source(network=network.name, calibrator=calibrator, seed=seed, samples=choice.samples,
                                effort=choice.effort)  # fmt: skip
                source = replace(source, samples=min(64, choice.samples)) if network.name in LARGE else source
                found.update(dict.fromkeys(_of_source(source, choice)))
    return list(found)


def _of_source(source: Source, choice: Choice) -> list[Cell]:
    made = []
    for protocol in choice.protocols:
        for rounding in choice.roundings:
            for bits in choice.bits:
                weights, activations = (int(part) for part in bits[1:].split("a"))
                learned = rounding == LEARNED
                if learned and (weights == 8 or source.calibrator not in LEARNED_CALIBRATORS):
                    continue
                if learned and source.network in LARGE and bits != "w4a8":
                    continue
                made.append(
                    Cell(
                        source=source,
                        protocol=protocol,
                        rounding=rounding,
                        weights=weights,
                        activations=activations,
                        steps=choice.steps if learned else 0,
                    )
                )
    return made


def _run(arguments: Sequence[str]) -> str:
    """One step in a process of its own, on one core; the last line of its complaint, or nothing."""
    script = Path(__file__).with_name("zsq_cells.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    line = [sys.executable, str(script), *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def _in_parallel(jobs: int, steps: Sequence[tuple[str, list[str]]]) -> list[str]:
    failures = []
    with ThreadPoolExecutor(jobs) as pool:
        finished = zip(steps, pool.map(lambda step: _run(step[1]), steps), strict=True)
        for number, ((name, _), failure) in enumerate(finished, 1):
            print(f"[{number}/{len(steps)}] {name}{': ' + failure if failure else ''}", file=sys.stderr, flush=True)
            failures += [f"{name}: {failure}"] if failure else []
    return failures


def run(wanted: Sequence[Cell], work: Path, jobs: int) -> tuple[list[Result], list[str]]:
    """Measures what is missing and loads the rest; results in order, and what failed."""
    missing = [cell for cell in wanted if Result.load(work / "zsq" / f"{cell.key}.json") is None]
    sources = dict.fromkeys(cell.source for cell in missing)
    absent = [source for source in sources if not (work / "calibrations" / f"{source.key}.json").is_file()]
    failures = _in_parallel(
        jobs, [(f"calibrate {s.key}", ["calibrate", json.dumps(asdict(s)), str(work)]) for s in absent]
    )
    ready = [cell for cell in missing if (work / "calibrations" / f"{cell.source.key}.json").is_file()]
    failures += _in_parallel(jobs, [(cell.key, ["measure", json.dumps(asdict(cell)), str(work)]) for cell in ready])
    loaded = (Result.load(work / "zsq" / f"{cell.key}.json") for cell in wanted)
    return [result for result in loaded if result is not None], failures


def _choice(options: argparse.Namespace) -> Choice:
    quick = options.quick
    return Choice(
        networks=tuple(options.network) or (QUICK_NETWORKS if quick else ()),
        calibrators=tuple(options.calibrator) or (("auto", "moments", "random", "data") if quick else CALIBRATORS),
        roundings=tuple(options.rounding) or ROUNDINGS,
        bits=tuple(options.bits) or (QUICK_BITS if quick else BITS),
        protocols=tuple(Protocol(name) for name in options.protocol) or tuple(Protocol),
        seeds=tuple(options.seed) or ((0,) if quick else (0, 1, 2)),
        samples=options.samples or (64 if quick else 256),
        effort="fast" if quick else options.effort,
        steps=options.steps or (30 if quick else 0),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "calibrator", "rounding", "bits", "protocol"):
        parser.add_argument(f"-{name[0]}", f"--{name}", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("-s", "--seed", action="append", type=int, default=[], help="default: 0 1 2")
    parser.add_argument("--quick", action="store_true", help="one small network, one seed, a few minutes")
    parser.add_argument("--samples", type=int, default=0, help="inputs per calibration (default 256)")
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--steps", type=int, default=0, help="of learned rounding per block")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    return parser.parse_args()


def main() -> int:
    """Measures, prints and saves; 1 if a cell failed."""
    options = _arguments()
    work = options.work.resolve()
    results, failures = run(cells(_choice(options)), work, options.jobs)
    table = markdown(results)
    print(table, *failures, sep="\n")
    (work / "zsq.md").write_text(table)
    (work / "zsq.svg").write_text(figure(results))
    (work / "zsq.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
