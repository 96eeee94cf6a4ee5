"""Runs this bundle: ``python run.py --help``. Needs NumPy and the target's runtime, nothing else."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

if importlib.util.find_spec("numpy") is None:
    print(f"error: {sys.executable} has no NumPy: install it there", file=sys.stderr)
    sys.exit(4)
sys.path.insert(0, str(Path(__file__).resolve().parent))
runpy.run_module("zsq_device", run_name="__main__", alter_sys=True)
