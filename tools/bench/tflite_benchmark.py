"""Measures the target tflite against what is needed of it; prints PASS or FAIL per figure.

    python tools/bench/tflite_benchmark.py                       # everything
    python tools/bench/tflite_benchmark.py --only speed --only official --only seconds   # the timings: a quiet machine
    python tools/bench/tflite_benchmark.py --only accuracy -s 0 -s 1 -s 2
    python tools/bench/tflite_benchmark.py --only install        # what the target adds to an installation
    python tools/bench/tflite_benchmark.py -n kws_dscnn -n ic_resnet8

Needs the evaluation assets (ZSQ_ASSETS); mAP needs pycocotools and opencv-python-headless. No data is used to quantize,
and nothing is said of the inputs. Calibrations are kept under <work>; delete a file to make it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import networks
import numpy as np
from tflite_files import calibrated, quantized, tflite_file
from tflite_install import installed_megabytes
from tflite_tasks import TASKS
from verdicts import Verdict, at_least, at_most

from zsq_export.backends.options import FloatPrecision, IoType, TargetOptions
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.backends.tflite_edge.metadata import read_info
from zsq_export.backends.tflite_edge.run import LiteRtRunner
from zsq_export.backends.tflite_edge.runtime import import_interpreter
from zsq_export.pipeline import Calibrated
from zsq_export.planning import PlanOptions
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.latency import Candidate, LatencyOptions, measure_latency


class Part(StrEnum):
    """What can be measured on its own."""

    SPEED = "speed"
    OFFICIAL = "official"
    SECONDS = "seconds"
    ACCURACY = "accuracy"
    INSTALL = "install"


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
REPEATS = 5
INSTALL_MEGABYTES = 150.0


def speed(made: Calibrated, name: str) -> Iterator[Verdict]:
    """Against the float model, emitted by the same code."""
    content = tflite_file(made, planning=PlanOptions(rounding="nearest"))
    info = read_info(content)
    assert info is not None
    print(f"      {name}: {len(content)} bytes, {info.transposes} transposes left", flush=True)
    if name not in TRANSFORMERS:
        slow = [island for island in info.islands if island[1] != "Softmax"]
        yield at_most(f"{name}: float islands beside softmax", float(len(slow)), 0.0)
    runner = LiteRtRunner(content, threads=1)
    floating = TfliteEdge().open_float(made.prepared.folded, FloatPrecision.F32, threads=1)
    shape = [1, *(side or 1 for side in made.prepared.inputs[0].shape[1:])]
    feeds = {made.prepared.inputs[0].name: np.random.default_rng(0).random(shape, dtype=np.float32)}
    ratio = ratio_of(floating.bind(feeds), runner.bind(feeds))
    yield at_least(f"{name}: times as fast as float", ratio, 1.0 if name in TRANSFORMERS else 2.0)


def seconds(made: Calibrated, name: str) -> Iterator[Verdict]:
    """From a calibration to the file, by the default rounding. The first time also gathers the covariances of the
    calibration's inputs, which all targets share.
    """
    backend = TfliteEdge()
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        backend._emitted(quantized(made, backend))
        times.append(time.perf_counter() - start)
    print(f"      {name}: {times[0]:.1f} s with the covariances of the inputs", flush=True)
    yield at_most(f"{name}: seconds from calibration to file, best of {REPEATS}", min(times[1:]), 1.0)


def against_official(made: Calibrated, name: str) -> Iterator[Verdict]:
    """Integers in, integers out, as the official file has it."""
    content = tflite_file(made, TargetOptions(io=IoType.INT8), PlanOptions(rounding="nearest"))
    theirs = (networks.assets_dir() / "mlperf_tiny" / OFFICIAL[name]).read_bytes()
    feeds = [_on_integers(each) for each in (theirs, content)]
    yield at_most(f"{name}: latency over the official file's", 1 / ratio_of(*feeds), 1.05)
    yield at_most(f"{name}: size over the official file's", len(content) / len(theirs), 1.05)


def _on_integers(content: bytes) -> Callable[[], None]:
    """One inference on one thread, with nothing converted before or after."""
    interpreter = import_interpreter().Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        integers = np.random.default_rng(0).integers(-128, 128, detail["shape"], dtype=np.int8)
        interpreter.set_tensor(detail["index"], integers)
    return interpreter.invoke  # type: ignore[no-any-return]


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


def measure(file: Path, parts: Sequence[Part], options: argparse.Namespace) -> Iterator[Verdict]:
    """Every figure of one network."""
    name = file.stem
    made = calibrated(file, options.work, options.calibrator, options.seed[0])
    if Part.SPEED in parts:
        yield from speed(made, name)
    if Part.SECONDS in parts and name == TIMED:
        yield from seconds(made, name)
    if Part.OFFICIAL in parts and name in OFFICIAL:
        yield from against_official(made, name)
    if Part.ACCURACY in parts:
        yield from TASKS[name]([calibrated(file, options.work, options.calibrator, s) for s in options.seed], name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--network", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--only", action="append", type=Part, default=[], help=f"of {', '.join(Part)}; repeatable")
    parser.add_argument("-c", "--calibrator", default="auto")
    parser.add_argument("-s", "--seed", action="append", type=int, default=[], help="default: 0; repeatable")
    parser.add_argument("--work", type=Path, default=Path("build/bench/tflite"))
    options = parser.parse_args()
    options.seed = options.seed or [0]
    return options


def _verdicts(options: argparse.Namespace) -> Iterator[Verdict]:
    parts = options.only or list(Part)
    if Part.INSTALL in parts and not options.network:
        yield at_most("megabytes that the target adds", installed_megabytes(), INSTALL_MEGABYTES)
    for file in FILES:
        if set(parts) != {Part.INSTALL} and (not options.network or Path(file).stem in options.network):
            yield from measure(networks.assets_dir() / file, parts, options)


def main() -> int:
    """Prints one line per figure; 1 if anything needed was missed."""
    options = _arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    passed = True
    for verdict in _verdicts(options):
        print(verdict, flush=True)
        passed = passed and verdict.passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
