"""What a CUDA device shows without TensorRT: the QDQ graph's numerics there, and how fast BatchNorm inversion is.

    python tools/bench/gpu_benchmark.py stage .gpu          # here: a wheel, the networks and their data in one folder
    python .gpu/gpu_benchmark.py run .gpu --out DIR         # on the device machine, once the wheel is installed

``run`` needs torch with CUDA, onnx, onnx-ir, onnxscript, onnxruntime, pillow, rich, click and jinja2 beside the wheel
(``pip install --no-index --no-deps --target SITE .gpu/*.whl``). The networks come from the evaluation assets.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from gpu_inversion import CPU_THREADS, Inversion, inversion
from gpu_numerics import OTHERS, Numerics, loaders_of, numerics

INVERTED = "imagenet/efficientnet_lite0_224.onnx"
DATA = ("cifar10/cifar10_test1000.npz", "imagenet/ilsvrc2012_val650_227px.zip", "mlperf_tiny/kws01.npz")
SCRIPTS = ("gpu_benchmark.py", "gpu_inversion.py", "gpu_numerics.py")
SMALLEST_AGREEMENT = 99.9
SMALLEST_SPEEDUP = 10.0
SMALLEST_SQNR = 60.0
"""For networks that are no classifiers."""


def stage(folder: Path) -> None:
    """Copies what ``run`` needs; about 60 MB."""
    assets = Path(os.environ.get("ZSQ_ASSETS") or Path(__file__).resolve().parents[3] / "shared" / "assets")
    models = (*loaders_of(assets).MODELS, *OTHERS)
    for name in ("assets.py", *models, *DATA):
        target = folder / "assets" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(assets / name, target)
    here = Path(__file__).resolve().parent
    for name in SCRIPTS:
        shutil.copy(here / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(here.parents[1])]
    subprocess.run(command, check=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB")


def run(folder: Path, out: Path) -> int:
    """Measures everything, prints PASS or FAIL per line, writes ``gpu.json``; 1 if something was missed."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device")
    compared = list(numerics(folder / "assets"))
    inversions = [inversion(folder / "assets" / INVERTED, device) for device in ("cuda", "cpu")]
    raw = {
        "gpu": torch.cuda.get_device_name(0),
        "capability": torch.cuda.get_device_capability(0),
        "torch": torch.__version__,
        "cpu threads of the comparison": CPU_THREADS,
        "numerics": [asdict(item) for item in compared],
        "inversion": [asdict(item) for item in inversions],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps(raw, indent=1) + "\n")
    lines = [*_verdicts(compared, inversions)]
    print(f"{raw['gpu']}, torch {raw['torch']}", *_tables(compared, inversions), *(line for line, _ in lines), sep="\n")
    return 0 if all(passed for _, passed in lines) else 1


def _verdicts(compared: list[Numerics], inversions: list[Inversion]) -> Iterator[tuple[str, bool]]:
    for item in compared:
        pairs = (("QDQ, CUDA and CPU", item.devices), ("float, CUDA and ONNX Runtime", item.whole))
        for what, (agreement, sqnr) in pairs:
            figure, limit = (sqnr, SMALLEST_SQNR) if agreement is None else (agreement, SMALLEST_AGREEMENT)
            passed, unit = figure >= limit, "dB" if agreement is None else "%"
            yield f"{'PASS' if passed else 'FAIL'}  {item.network} {what}: {figure:.2f} {unit} (>= {limit:.1f})", passed
    cuda, cpu = inversions
    speedup = cpu.optimisation / cuda.optimisation
    passed = speedup >= SMALLEST_SPEEDUP
    yield (
        f"{'PASS' if passed else 'FAIL'}  inversion CPU/CUDA: {speedup:.1f} (needed >= {SMALLEST_SPEEDUP:.0f})",
        passed,
    )


def _tables(compared: list[Numerics], inversions: list[Inversion]) -> Iterator[str]:
    yield "| network (samples) | QDQ, executor on CUDA and on the CPU | float, CUDA and ORT | QDQ, CUDA and ORT |"
    yield "|---|---|---|---|"
    for item in compared:
        cells = " | ".join(_cell(*pair) for pair in (item.devices, item.whole, item.qdq))
        yield f"| {item.network} ({item.samples}) | {cells} |"
    yield "| device | optimisation, s | whole calibration, s | BatchNorm loss |"
    yield "|---|---|---|---|"
    for timed in inversions:
        yield f"| {timed.device} | {timed.optimisation:.2f} | {timed.whole:.1f} | {timed.batchnorm_loss:.4f} |"


def _cell(agreement: float | None, sqnr: float) -> str:
    return f"{'–' if agreement is None else f'{agreement:.2f}'} / {sqnr:.1f}"


def main() -> int:
    """Stages or runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("stage", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    options = parser.parse_args()
    if options.command == "stage":
        stage(options.folder.resolve())
        return 0
    return run(options.folder.resolve(), options.out.resolve())


if __name__ == "__main__":
    sys.exit(main())
