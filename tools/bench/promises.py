"""Checks what is promised of the command itself: quick help, same seed same bytes, no half artifact after a kill.

    python tools/bench/promises.py [--network resnet20_akamaster] [--kills 20]

Needs the evaluation assets (ZSQ_ASSETS). Prints PASS or FAIL per promise.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import networks
from cells import Cell, command

from zsq_export.artifact import read_artifact
from zsq_export.errors import ArtifactError

HELP_SECONDS = 0.3
STARTS = 7


def help_is_quick() -> tuple[bool, str]:
    """Median wall time of ``zsq-export --help``, start of the interpreter included."""
    script = Path(sys.executable).with_name("zsq-export")
    seconds = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run([script, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    return median <= HELP_SECONDS, f"--help: {median:.2f} s (needed <= {HELP_SECONDS})"


def _fresh(line: list[str]) -> Path:
    output = Path(line[-1])
    shutil.rmtree(output, ignore_errors=True)
    return output


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def same_bytes(line: list[str]) -> tuple[bool, str]:
    """Converts twice; every file of the artifact is compared."""
    written = []
    for _ in range(2):
        output = _fresh(line)
        subprocess.run(line, check=True)
        written.append(_bytes(output))
    names = sorted(written[0].keys() | written[1].keys())
    different = [name for name in names if written[0].get(name) != written[1].get(name)]
    return not different, f"same seed, same bytes: {len(names)} files, differing: {', '.join(different) or 'none'}"


def _kill_moments(seconds: float, kills: int) -> Iterator[float]:
    """Moments over the whole run, denser at its end, where files are written."""
    for number in range(kills):
        yield seconds * (1 - (1 - (number + 1) / (kills + 1)) ** 2)


def no_half_artifact(line: list[str], kills: int) -> tuple[bool, str]:
    """Kills the command at many moments; what is left is nothing, or whole."""
    _fresh(line)
    start = time.perf_counter()
    subprocess.run(line, check=True)
    whole = _bytes(Path(line[-1]))
    killed, broken = 0, 0
    for moment in _kill_moments(time.perf_counter() - start, kills):
        output = _fresh(line)
        process = subprocess.Popen(line)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        broken += _validates(output) and _bytes(output) != whole
    return not broken, f"killed {killed} times: {broken} half artifacts that validate"


def _validates(folder: Path) -> bool:
    try:
        read_artifact(folder)
    except ArtifactError:
        return False
    return True


def main() -> int:
    """Prints one line per promise; 1 if one was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet20_akamaster")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    work = (options.work / "promises").resolve()
    (work / "artifacts").mkdir(parents=True, exist_ok=True)
    (network,) = networks.named((options.network,))
    line = command(Cell(network=network.name, target="openvino", calibrator="auto", effort="fast"), network, work)
    checks = [help_is_quick(), same_bytes(line), no_half_artifact(line, options.kills)]
    print(*(f"{'PASS' if passed else 'FAIL'}  {text}" for passed, text in checks), sep="\n")
    return 0 if all(passed for passed, _text in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
