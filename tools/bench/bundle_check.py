"""Runs bundles in clean environments that hold only the target's runtime, and compares bit for bit.

    python tools/bench/bundle_check.py ARTIFACT [ARTIFACT ...] [--threads 1] [--samples 32]

For every artifact: a virtual environment with the runtime that is installed here (same version) and NumPy, the bundle
unpacked and run in it, and the outputs held against those that the artifact gives here. Prints PASS or FAIL per
artifact. The environments take a minute each; they come from the package index that pip is set up for.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path

import numpy as np

from zsq_export.artifact import read_artifact
from zsq_export.bundle.build import build_bundle
from zsq_export.bundle.results import read_results
from zsq_export.bundle.samples import SampleLimit
from zsq_export.device.arrays import decode
from zsq_export.device.batches import run_all
from zsq_export.device.results import DeviceResults
from zsq_export.validation.validate import ValidationOptions
from zsq_export.verification import Verification, open_artifact

PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "tflite": "ai-edge-litert"}
FORBIDDEN = ("torch", "zsq_export", "onnx", "onnx_ir", "PIL", "scipy")


def clean_environment(folder: Path, package: str) -> Path:
    """Python of a new environment with one runtime and NumPy, in the versions that are installed here."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = [f"{name}=={metadata.version(name)}" for name in (package, "numpy")]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True, stderr=subprocess.DEVNULL)
    for name in FORBIDDEN:
        # In its own folder: the one that this was called in may be a checkout, which would be found.
        tried = subprocess.run([python, "-c", f"import {name}"], cwd=folder, stderr=subprocess.DEVNULL, check=False)
        if tried.returncode == 0:
            sys.exit(f"the environment is not clean: it has {name}")
    return python


def run_in(python: Path, bundle: Path, folder: Path) -> DeviceResults:
    """Unpacks a bundle and runs it."""
    subprocess.run([python, "-m", "zipfile", "-e", bundle, folder], check=True)
    results = folder / "results.json"
    with results.open("w") as out:
        command = [python, "-I", folder / "run.py", "--json", "--no-latency", "--quiet"]
        subprocess.run(command, check=True, stdout=out, cwd="/")
    return read_results(results)


def differing_outputs(folder: Path, results: DeviceResults, threads: int) -> list[str]:
    """Outputs whose bits differ from what this machine computes."""
    verification = Verification(
        folder=folder, options=ValidationOptions(latency=None, threads=threads), samples=results.samples
    )
    opened = open_artifact(verification, read_artifact(folder))
    runner = opened.backend.open(opened.subject.entry, threads=threads)
    local = run_all(runner.run, opened.samples.read(range(results.samples)), results.batch_size)
    found = {entry.name: decode(entry) for entry in results.outputs}
    return [
        name for name, array in local.items() if not np.array_equal(array.view(np.uint8), found[name].view(np.uint8))
    ]


def check(folder: Path, threads: int, samples: int) -> bool:
    """One artifact; prints its line."""
    target = read_artifact(folder).manifest.target
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        options = ValidationOptions(latency=None, threads=threads)
        bundle = place / "bundle.zip"
        build_bundle(Verification(folder=folder, options=options), bundle, limit=SampleLimit(most=samples))
        python = clean_environment(place / "venv", PACKAGES[target])
        results = run_in(python, bundle, place / "bundle")
        wrong = differing_outputs(folder, results, threads)
    verdict = f"outputs differ: {', '.join(wrong)}" if wrong else "equal bit for bit"
    print(f"{'FAIL' if wrong else 'PASS'}  {folder}: {results.device.runtime}, {results.samples} samples, {verdict}")
    return not wrong


def main() -> int:
    """All artifacts that were named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=32)
    options = parser.parse_args()
    return 0 if all([check(folder, options.threads, options.samples) for folder in options.artifacts]) else 1


if __name__ == "__main__":
    sys.exit(main())
