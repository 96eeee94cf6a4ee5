"""What the networks of the assets are for, where it is no picture classification: measured on the target tflite."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping

import networks
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from verdicts import Verdict, at_least

from zsq_export.backends.options import TargetOptions
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.backends.tflite_edge.run import LiteRtRunner
from zsq_export.execution.ort_session import OrtSession
from zsq_export.pipeline import Calibrated, insert_qdq, plan_for
from zsq_export.planning import PlanOptions
from zsq_export.planning.leave_float import behind, leave_float
from zsq_export.planning.plan import Plan
from zsq_export.planning.schemes import Scheme
from zsq_export.quantization.metrics import sqnr_db

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Tail = Callable[[Calibrated], tuple[int, Plan]]
Task = Callable[[Calibrated, Tail], Iterator[Verdict]]

INPUT = "input"
TAIL_SQNR_DB = 35.0
"""Of the output on synthetic inputs: the error is then far below that of a picture of 30 dB."""
_SIDE, _FACTOR = 224, 3


def runner_of(made: Calibrated, plan: Plan | None = None, scheme: Scheme = Scheme.INT8) -> Run:
    """The lowered model."""
    backend = TfliteEdge().configured(TargetOptions(scheme=scheme))
    plan = plan or plan_for(made, backend, PlanOptions())
    runner = LiteRtRunner(backend._emitted(insert_qdq(made.prepared, plan)), threads=2)
    return lambda x: next(iter(runner.run({INPUT: x}).values()))


def float_run(made: Calibrated) -> Run:
    """The float model in ONNX Runtime."""
    session = OrtSession(made.prepared.source.path)
    return lambda x: next(iter(session.run({INPUT: x}).values()))


def float_tail(made: Calibrated) -> tuple[int, Plan]:
    """The fewest last layers that have to stay float for a small error on synthetic inputs; no data."""
    model = made.prepared.folded
    inputs = next(iter(made.result.inputs.values()))[:4]
    reference = float_run(made)(inputs)
    plan = plan_for(made, TfliteEdge(), PlanOptions())
    layers = [node.name or "" for node in model.graph if node.op_type in ("Conv", "Gemm", "ConvTranspose")]
    for count in range(len(layers)):
        kept = leave_float(plan, model, behind(model, layers[-count]), "the output needs it") if count else plan
        if sqnr_db(reference, runner_of(made, kept)(inputs)) >= TAIL_SQNR_DB:
            return count, kept
    return len(layers), leave_float(plan, model, behind(model, layers[0]), "the output needs it")


def keyword_spotting(made: Calibrated, _tail: Tail) -> Iterator[Verdict]:
    """Top-1 on 1000 Speech Commands."""
    inputs, labels = networks.assets().kws()
    found = runner_of(made)(inputs).argmax(1)
    yield at_least("kws_dscnn: top-1", 100 * float(np.mean(found == labels)), 90.2)


def detection(made: Calibrated, _tail: Tail) -> Iterator[Verdict]:
    """COCO mAP on 158 images; needs pycocotools and opencv-python-headless."""
    spec = importlib.util.spec_from_file_location("eval_coco", networks.assets_dir() / "coco" / "eval_coco.py")
    assert spec is not None and spec.loader is not None
    coco = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(coco)

    def score(run: Run) -> float:
        def detect(image: NDArray[np.uint8]):  # type: ignore[no-untyped-def]
            return coco.fastestdet(lambda x: [run(np.ascontiguousarray(x, dtype=np.float32))], image)

        return 100 * float(coco.evaluate(detect)["mAP"])

    yield at_least("fastestdet_352: COCO mAP", score(runner_of(made)), score(float_run(made)) - 1.0)


def super_resolution(made: Calibrated, tail: Tail) -> Iterator[Verdict]:
    """PSNR on Set5; small pictures are continued by their edge to the network's fixed side."""
    reference = _psnr(float_run(made))
    print(f"      espcn_x3_224: float {reference:.2f} dB, int8 {_psnr(runner_of(made)):.2f} dB, "
          f"16x8 {_psnr(runner_of(made, scheme=Scheme.INT16X8)):.2f} dB")  # fmt: skip
    count, plan = tail(made)
    yield at_least(
        f"espcn_x3_224: PSNR with the last {count} layers in float", _psnr(runner_of(made, plan)), reference - 0.1
    )


def _psnr(run: Run) -> float:
    return float(np.mean([_psnr_of(run, path) for path in sorted((networks.assets_dir() / "superres").glob("*.png"))]))


def _psnr_of(run: Run, path) -> float:  # type: ignore[no-untyped-def]
    picture = Image.open(path).convert("L")
    small = (picture.width // _FACTOR, picture.height // _FACTOR)
    picture = picture.crop((0, 0, small[0] * _FACTOR, small[1] * _FACTOR))
    low = np.asarray(picture.resize(small, Image.Resampling.BICUBIC), dtype=np.float32)
    padded = np.pad(low, ((0, _SIDE - small[1]), (0, _SIDE - small[0])), mode="edge") / np.float32(255)
    found = run(padded[None, None])[0, 0, : picture.height, : picture.width] * 255
    error = np.clip(np.rint(found), 0, 255) - np.asarray(picture, dtype=np.float32)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


TASKS: Mapping[str, Task] = {
    "kws_dscnn": keyword_spotting,
    "fastestdet_352": detection,
    "espcn_x3_224": super_resolution,
}
