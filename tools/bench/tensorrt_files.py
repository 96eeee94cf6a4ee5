"""What the TensorRT measurements share: target, schemes, networks, and calibrations that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import networks
from resnet50 import write_resnet50

from zsq_export import pipeline
from zsq_export.calib.saved import save_calibration
from zsq_export.options import CalibrationOptions
from zsq_export.planning.schemes import Scheme

TARGET = "tensorrt-rtx"
SCHEMES = (Scheme.FP16, Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT)
OTHERS = ("mlperf_tiny/kws_dscnn.onnx", "coco/fastestdet_352.onnx", "superres/espcn_x3_224.onnx")
"""Networks of the assets that the core benchmark does not measure."""


def calibrated(file: Path, work: Path, options: CalibrationOptions) -> pipeline.Calibrated:
    """The calibration, made once per file and options."""
    saved = work / "calibrations" / f"{file.stem}-{options.calibrator}-{options.seed}.npz"
    if saved.is_file():
        return pipeline.resume(file, saved)
    saved.parent.mkdir(parents=True, exist_ok=True)
    made = pipeline.calibrate(file, options)
    save_calibration(made.result, saved, made.prepared, overwrite=True)
    return made


def files(work: Path) -> Iterator[Path]:
    """Every network of the assets, and a ResNet-50."""
    work.mkdir(parents=True, exist_ok=True)
    folder = networks.assets_dir()
    yield from (folder / network.file for network in networks.NETWORKS)
    yield from (folder / name for name in OTHERS)
    yield write_resnet50(work / "resnet50.onnx")
