"""Every calibrator and every rounding on every network of the assets, from the shell: it works, or says why not.

python tools/bench/sweep.py            # a line for each, PASS or FAIL, and a table; half an hour on two cores
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import networks
from zsq_data import SUBJECTS, real_inputs

from zsq_export.calib.registry import calibrator_names
from zsq_export.rounding.registry import rounding_names

MODELS = (*(item.file for item in SUBJECTS), "coco/fastestdet_352.onnx", "superres/espcn_x3_224.onnx")
CHEAP = ("--target", "onnxruntime", "--weights-bits", "4", "--effort", "fast", "--samples", "8", "--threads", "1",
         "--rounding-steps", "2", "--quiet", "--overwrite")  # fmt: skip
COMMON = "squant"
"""The rounding that calibrators are tried with: it needs nothing of them."""

LONGEST_REASON = 2
"""Lines: what is wrong, and what to do."""

_BROKEN = ("Traceback", "this is a bug")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one command."""

    code: int
    said: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """It worked, or was refused in words."""
        refused = 0 < len(self.said) <= LONGEST_REASON and not any(word in self.said[0] for word in _BROKEN)
        return self.code == 0 or refused

    @property
    def told(self) -> str:
        """For the table."""
        return f"{self.seconds:.0f} s" if self.code == 0 else self.said[0].removeprefix("error: ")


def convert(model: Path, calibrator: str, rounding: str, folder: Path, *more: str) -> Outcome:
    """``zsq-export convert`` with four-bit weights."""
    line = [sys.executable, "-m", "zsq_export", "convert", str(model), *CHEAP, "--calibrator", calibrator,
            "--rounding", rounding, "-o", str(folder / "out"), *more]  # fmt: skip
    start = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    said = tuple(text for text in done.stderr.splitlines() if text.strip())
    return Outcome(code=done.returncode, said=said, seconds=time.perf_counter() - start)


def main() -> int:
    """Prints a line per model and method; 1 if one neither worked nor was refused in words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append", default=[], help="only files whose name holds this")
    wanted = parser.parse_args().model
    outcomes: dict[tuple[str, str], Outcome] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for file in MODELS:
            if wanted and not any(part in file for part in wanted):
                continue
            model = networks.assets_dir() / file
            for calibrator, rounding in _methods():
                more = _real(file, folder) if calibrator == "data" else []
                if more is None:
                    continue
                outcome = convert(model, calibrator, rounding, folder, *more)
                outcomes[Path(file).stem, method(calibrator, rounding)] = outcome
                verdict = "PASS" if outcome.passed else "FAIL"
                print(f"{verdict}  {Path(file).stem} {calibrator} {rounding}: {outcome.told}", flush=True)
    failed = sum(not outcome.passed for outcome in outcomes.values())
    print(table(outcomes), f"{'FAIL' if failed else 'PASS'}  {failed} neither worked nor said why", sep="\n")
    return 1 if failed else 0


def method(calibrator: str, rounding: str) -> str:
    """What a column of the table is called: the calibrator, or the rounding where that is what is tried."""
    return calibrator if rounding == COMMON else f"{calibrator}, {rounding}"


def table(outcomes: Mapping[tuple[str, str], Outcome]) -> str:
    """Markdown: a row per method, a column per model; yes, or the number of the reason below."""
    models, methods = (list(dict.fromkeys(key[part] for key in outcomes)) for part in (0, 1))
    reasons = list(dict.fromkeys(outcome.told for outcome in outcomes.values() if outcome.code))

    def entry(model: str, name: str) -> str:
        outcome = outcomes.get((model, name))
        if outcome is None:
            return ""
        return str(1 + reasons.index(outcome.told)) if outcome.code else "yes"

    rows = [["method", *models], ["---"] * (1 + len(models))]
    rows += [[name, *(entry(model, name) for model in models)] for name in methods]
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *notes, ""])


def _methods() -> list[tuple[str, str]]:
    """Every calibrator once, and every rounding once."""
    calibrators = [(name, COMMON) for name in calibrator_names()]
    return [*calibrators, *(("prior", name) for name in rounding_names() if name != COMMON), ("moments", "adaround")]


def _real(file: str, folder: Path) -> list[str] | None:
    """Options for real data; None where the assets hold none for this model."""
    import numpy as np

    item = next((item for item in SUBJECTS if item.file == file), None)
    if item is None:
        return None
    path = folder / "real.npz"
    np.savez(path, x=real_inputs(item, 8))
    return ["--data", str(path)]


if __name__ == "__main__":
    sys.exit(main())
