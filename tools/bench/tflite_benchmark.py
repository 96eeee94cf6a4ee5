"""Measures the target tflite against what is needed of it; prints PASS or FAIL per figure.

    python tools/bench/tflite_benchmark.py                       # every network
    python tools/bench/tflite_benchmark.py -n kws_dscnn -n ic_resnet8

Needs the evaluation assets (ZSQ_ASSETS). Accuracy of the networks that core_benchmark.py knows is measured there
(`-t tflite`); here: speed and size, the official MLPerf Tiny files, keyword spotting, detection, super-resolution.
Calibrations are kept under <work>; delete a file to make it again. For latencies, let the machine do nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np
from tflite_tasks import TASKS, float_tail
from verdicts import Verdict, at_least, at_most

from zsq_export.backends.base import FloatPrecision
from zsq_export.backends.options import IoType, TargetOptions
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.backends.tflite_edge.metadata import read_info
from zsq_export.backends.tflite_edge.run import LiteRtRunner
from zsq_export.calib.saved import save_calibration
from zsq_export.options import CalibrationOptions
from zsq_export.pipeline import Calibrated, calibrate, insert_qdq, plan_for, resume
from zsq_export.planning import PlanOptions
from zsq_export.preprocessing import Preprocessing
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.latency import Candidate, LatencyOptions, measure_latency

FILES = (
    "cifar10/resnet20_akamaster.onnx", "cifar10/resnet20_chenyaofo.onnx", "cifar10/resnet56_akamaster.onnx",
    "cifar10/vit_d6_smmk47.onnx", "imagenet/efficientnet_lite0_224.onnx", "imagenet/mobilenetv1_075_224.onnx",
    "mlperf_tiny/ic_resnet8.onnx", "mlperf_tiny/kws_dscnn.onnx", "coco/fastestdet_352.onnx",
    "superres/espcn_x3_224.onnx",
)  # fmt: skip
OFFICIAL = {"ic_resnet8": "pretrainedResnet_quant.tflite", "kws_dscnn": "kws_ref_model.tflite"}
"""The benchmark's own int8 files."""
TIMED = "efficientnet_lite0_224"
TRANSFORMERS = frozenset({"vit_d6_smmk47"})
REPEATS = 3
CONVENTIONS = {"espcn_x3_224": Preprocessing(mean=(0.0,), std=(1.0,))}
"""Of networks without BatchNorm, whose file does not tell it."""


def calibrated(file: Path, work: Path, calibrator: str) -> Calibrated:
    """The saved calibration, or a new one."""
    saved = work / f"{file.stem}.{calibrator}.npz"
    if not saved.exists():
        options = CalibrationOptions(calibrator=calibrator, preprocessing=CONVENTIONS.get(file.stem))
        made = calibrate(file, options)
        save_calibration(made.result, saved, made.prepared)
    return resume(file, saved)


def emitted(made: Calibrated, options: TargetOptions | None = None) -> tuple[bytes, float]:
    """The file, and the seconds from a calibration to it."""
    backend = TfliteEdge().configured(options or TargetOptions())
    start = time.perf_counter()
    content = backend._emitted(insert_qdq(made.prepared, plan_for(made, backend, PlanOptions())))
    return content, time.perf_counter() - start


def measure(file: Path, work: Path, calibrator: str) -> Iterator[Verdict]:
    """Every figure of one network."""
    made, name = calibrated(file, work, calibrator), file.stem
    emitted(made)
    content, seconds = emitted(made)
    if name == TIMED:
        yield at_most(f"{name}: seconds from calibration to file", seconds, 1.0)
    info = read_info(content)
    assert info is not None
    if name not in TRANSFORMERS:
        yield at_most(f"{name}: float islands", float(len(info.islands)), 0.0)
    print(f"      {name}: {len(content)} bytes, {info.transposes} transposes left, {seconds:.2f} s", flush=True)
    runner = LiteRtRunner(content, threads=1)
    floating = TfliteEdge().open_float(made.prepared.folded, FloatPrecision.F32, threads=1)
    shape = [1, *(side or 1 for side in made.prepared.inputs[0].shape[1:])]
    feeds = {made.prepared.inputs[0].name: np.random.default_rng(0).random(shape, dtype=np.float32)}
    ratio = ratio_of(floating.bind(feeds), runner.bind(feeds))
    yield at_least(f"{name}: times as fast as float", ratio, 1.0 if name in TRANSFORMERS else 2.0)
    if name in OFFICIAL:
        yield from _against_official(made, networks.assets_dir() / "mlperf_tiny" / OFFICIAL[name], name)
    if name in TASKS:
        yield from TASKS[name](made, float_tail)


def _against_official(made: Calibrated, official: Path, name: str) -> Iterator[Verdict]:
    """Integers in, integers out, as the official file has it."""
    content, _ = emitted(made, TargetOptions(io=IoType.INT8))
    theirs = official.read_bytes()
    feeds = [_integer_inputs(LiteRtRunner(each, threads=1)) for each in (theirs, content)]
    yield at_most(f"{name}: latency over the official file's", 1 / ratio_of(*feeds), 1.05)
    yield at_most(f"{name}: size over the official file's", len(content) / len(theirs), 1.05)


def _integer_inputs(runner: LiteRtRunner):  # type: ignore[no-untyped-def]
    interpreter = runner._interpreter
    for detail in interpreter.get_input_details():
        integers = np.random.default_rng(0).integers(-128, 128, detail["shape"], dtype=np.int8)
        interpreter.set_tensor(detail["index"], integers)
    return interpreter.invoke


def ratio_of(first, second) -> float:  # type: ignore[no-untyped-def]
    """How many times as long the first call takes: median of several interleaved measurements."""
    candidates = [
        Candidate(label="first", precision="f32", call=first),
        Candidate(label="second", precision=None, call=second),
    ]
    options = LatencyOptions(seconds=2.0)
    origin = InputOrigin.SYNTHETIC
    found = [measure_latency(candidates, options, batch_size=1, threads=1, inputs=origin) for _ in range(REPEATS)]
    return float(np.median([latency.speedups[0].ratio for latency in found]))


def main() -> int:
    """Prints one line per figure; 1 if anything needed was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--network", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("-c", "--calibrator", default="auto")
    parser.add_argument("--work", type=Path, default=Path("build/bench/tflite"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    verdicts = []
    for file in FILES:
        if not options.network or Path(file).stem in options.network:
            for verdict in measure(networks.assets_dir() / file, options.work, options.calibrator):
                print(verdict, flush=True)
                verdicts.append(verdict)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
