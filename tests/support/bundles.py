"""Artifacts of the digits network, and bundles of them run in a process that has nothing but the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from digits import DigitsModel

import zsq_export
from zsq_export.backends.registry import get_backend
from zsq_export.options import CalibrationOptions
from zsq_export.preprocessing import Preprocessing

TARGETS = ("onnxruntime", "openvino", "tflite")
ABSENT = ("zsq_export", "torch", "onnx", "onnx_ir", "scipy", "PIL", "rich", "click")
"""What a device does not have."""

_ALONE = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv[0] = {run!r}
runpy.run_path({run!r}, run_name="__main__")
"""


def convert_digits(model: DigitsModel, folder: Path, target: str) -> Path:
    """An artifact that was calibrated on noise: quick, and as good as any to run."""
    if not get_backend(target).probe().available:
        pytest.skip(f"{target} is not installed")
    calibration = CalibrationOptions(
        calibrator="random", preprocessing=Preprocessing(mean=(0.5,), std=(0.5,), name="digits")
    )
    path = folder / "digits.onnx"
    path.write_bytes(model.path.read_bytes())
    zsq_export.convert(path, targets=[target], output=folder / target, calibration=calibration)
    return folder / target


def save_pictures(model: DigitsModel, path: Path, count: int) -> Path:
    """Labelled 8-bit pictures."""
    np.savez(path, x=model.x_pixels[:count], y=model.y_test[:count])
    return path


def run_alone(folder: Path, *arguments: str, absent: tuple[str, ...] = ABSENT) -> subprocess.CompletedProcess[str]:
    """Runs an unpacked bundle in a process that cannot import ``absent``."""
    code = _ALONE.format(absent=set(absent), run=str(folder / "run.py"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], cwd="/", env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
