"""How fast BatchNorm inversion is on one device."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPU_THREADS = 2


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """BatchNorm inversion with default settings: seconds of the optimisation and of the whole calibration."""

    device: str
    optimisation: float
    whole: float
    batchnorm_loss: float


def inversion(file: Path, device: str) -> Inversion:
    """Default settings, seed 0; the device is warmed up by a run that is thrown away."""
    import torch

    from zsq_export.calib.base import CalibrationRequest, Device
    from zsq_export.calib.bn_inversion.calibrator import BnInversionCalibrator, _settings
    from zsq_export.calib.bn_inversion.runs import drive_to_classes, match_statistics
    from zsq_export.calib.starting_point import starting_point
    from zsq_export.graph.prepare import prepare_model

    print(f"inversion on {device}", file=sys.stderr, flush=True)
    torch.backends.cudnn.allow_tf32 = True
    torch.set_num_threads(CPU_THREADS)
    prepared, request = prepare_model(file), CalibrationRequest(seed=0, device=Device(device))
    settings = _settings(prepared, request)
    start = starting_point(prepared, seed=0, count=settings.samples, given=None)

    def optimise() -> None:
        match_statistics(prepared, start, settings, request)
        drive_to_classes(prepared, start, settings, request)
        if device == "cuda":
            torch.cuda.synchronize()

    if device == "cuda":
        optimise()
    optimisation = _seconds(optimise)
    results: list[Any] = []
    whole = _seconds(lambda: results.append(BnInversionCalibrator().calibrate(prepared, request)))
    losses = dict(results[0].provenance.final_losses)
    return Inversion(device=device, optimisation=optimisation, whole=whole, batchnorm_loss=losses["batchnorm"])


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
