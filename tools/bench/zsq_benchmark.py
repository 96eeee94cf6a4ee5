"""Zero-shot quantization methods side by side: networks x calibrators x roundings x bits x seeds, in two protocols.

    python tools/bench/zsq_benchmark.py                      # the whole CPU part; resumes where it stopped
    python tools/bench/zsq_benchmark.py --quick              # a few minutes, for CI
    python tools/bench/zsq_benchmark.py --block literature -n resnet20_chenyaofo -r adaround
    python tools/bench/zsq_benchmark.py --shard 1/4          # a quarter, on one of several machines; join their folders
    python tools/bench/zsq_benchmark.py --jobs 16            # 16 cores
    python tools/bench/zsq_benchmark.py --block gpu          # costs on a GPU
    python tools/bench/zsq_benchmark.py --block costs-calibrators --block costs-roundings --jobs 1 --threads 2
    python tools/bench/zsq_benchmark.py --report             # measures nothing, shows what <work> holds

What is measured is listed in zsq_blocks.py. Protocols: "deployable" quantizes every tensor that the target onnxruntime
does, the first and last layer in 8 bits; "literature" is that of papers (literature.py). Nothing is chosen on test
data: each cell is the last state of its method. Baselines: random inputs, weights only (float activations), and real
training inputs through the same pipeline. Each result is a JSON file under <work>/zsq; delete it to measure again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from zsq_bars import verdicts
from zsq_blocks import BLOCKS, COSTS, GPU, QUICK
from zsq_cells import Cell
from zsq_data import subject
from zsq_jobs import Machine, core_seconds, load, run
from zsq_plan import Block, all_cells
from zsq_tables import figure, markdown


def chosen_cells(options: argparse.Namespace) -> list[Cell]:
    """Those of the blocks that every filter lets through."""
    blocks = {block.name: block for block in (*BLOCKS, *QUICK, *COSTS, *GPU)}
    unknown = sorted(set(options.block) - set(blocks))
    if unknown:
        raise SystemExit(f"no such block: {', '.join(unknown)}; there are {', '.join(blocks)}")
    everything = (*BLOCKS, *GPU)
    usual: tuple[Block, ...] = QUICK if options.quick else everything if options.report else BLOCKS
    taken = [blocks[name] for name in options.block] or usual
    filters: tuple[tuple[list[str], Callable[[Cell], str]], ...] = (
        ([subject(name).name for name in options.network], lambda cell: cell.source.network),
        (options.calibrator, lambda cell: cell.source.calibrator),
        (options.rounding, lambda cell: cell.rounding),
        (options.bits, lambda cell: f"w{cell.weights}a{cell.activations}"),
        (options.protocol, lambda cell: cell.protocol.value),
        (options.seed, lambda cell: str(cell.source.seed)),
    )
    return [cell for cell in all_cells(taken) if all(not wanted or of(cell) in wanted for wanted, of in filters)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "calibrator", "rounding", "bits", "protocol", "seed"):
        parser.add_argument(f"-{name[0]}", f"--{name}", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--block", action="append", default=[], help="only this block of zsq_blocks.py; repeatable")
    parser.add_argument("--quick", action="store_true", help="one small network, one seed, a few minutes")
    parser.add_argument("--report", action="store_true", help="measure nothing, show what is there")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only the i-th of n parts")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--deadline", type=float, help="seconds after which no process is started")
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    return parser.parse_args()


def _machine(options: argparse.Namespace) -> Machine:
    shard, shards = (int(part) for part in options.shard.split("/"))
    if not 1 <= shard <= shards:
        raise SystemExit(f"--shard {options.shard} is no part")
    return Machine(jobs=options.jobs, threads=options.threads, shard=shard, shards=shards, deadline=options.deadline)


def main() -> int:
    """Measures, prints and saves; 1 if a cell failed."""
    options = _arguments()
    work = options.work.resolve()
    cells = chosen_cells(options)
    essential = frozenset(cell for block in (*BLOCKS, *GPU) if block.essential for cell in block.cells())
    failures = [] if options.report else run(cells, work, _machine(options), essential)
    results = [result for result in (load(cell, work) for cell in cells) if result is not None]
    spent = core_seconds(work)
    lines = [line for line, _ in verdicts(results, spent)]
    table = markdown(results)
    print(table, *lines, *failures, f"{len(results)} of {len(cells)} cells, {spent / 60:.0f} core minutes", sep="\n")
    work.mkdir(parents=True, exist_ok=True)
    (work / "zsq.md").write_text("\n".join([table, *lines]) + "\n")
    (work / "zsq.svg").write_text(figure(results))
    (work / "zsq.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
