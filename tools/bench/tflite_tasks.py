"""What the networks of the assets are for: accuracy of the target tflite against what is needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import networks
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tflite_files import Run, float_run, openvino_run, tflite_run, top1
from verdicts import Verdict, at_least

from zsq_export.pipeline import Calibrated
from zsq_export.planning import PlanOptions
from zsq_export.planning.schemes import Scheme

Task = Callable[[Sequence[Calibrated], str], Iterator[Verdict]]
"""Of the calibrations of one network, one per seed."""

_LOSS_BELOW_FLOAT_DB = 0.1
_LOSS_OF_MAP = 1.0
_SIDE, _FACTOR = 224, 3
_LAST_LAYERS = 2


def beside_openvino(limit: float) -> Task:
    """Top-1 no more than so many points below the OpenVINO artifact of the same calibration, the seeds averaged."""

    def task(seeds: Sequence[Calibrated], name: str) -> Iterator[Verdict]:
        (network,) = networks.named((name,))
        inputs, labels = networks.test_data(network)
        floating = top1(float_run(seeds[0]), inputs, labels)
        ours = [top1(tflite_run(made), inputs, labels) for made in seeds]
        theirs = [top1(openvino_run(made), inputs, labels) for made in seeds]
        print(f"      {name}: float {floating:.1f}, tflite {_each(ours)}, openvino {_each(theirs)}", flush=True)
        yield at_least(f"{name}: top-1, seeds averaged", float(np.mean(ours)), float(np.mean(theirs)) - limit)

    return task


def at_least_top1(limit: float, load: Callable[[], tuple[NDArray[np.float32], NDArray[np.int64]]]) -> Task:
    """Top-1 with every seed."""

    def task(seeds: Sequence[Calibrated], name: str) -> Iterator[Verdict]:
        inputs, labels = load()
        ours = [top1(tflite_run(made), inputs, labels) for made in seeds]
        print(f"      {name}: float {top1(float_run(seeds[0]), inputs, labels):.1f}, tflite {_each(ours)}", flush=True)
        yield at_least(f"{name}: top-1, worst seed", min(ours), limit)

    return task


def _each(figures: Sequence[float]) -> str:
    return "/".join(f"{figure:.1f}" for figure in figures)


def detection(seeds: Sequence[Calibrated], name: str) -> Iterator[Verdict]:
    """COCO mAP; the first seed only."""
    yield at_least(f"{name}: COCO mAP", map_of(tflite_run(seeds[0])), map_of(float_run(seeds[0])) - _LOSS_OF_MAP)


def map_of(run: Run) -> float:
    """COCO mAP of FastestDet on 158 images, percent; needs pycocotools and opencv-python-headless."""
    spec = importlib.util.spec_from_file_location("eval_coco", networks.assets_dir() / "coco" / "eval_coco.py")
    assert spec is not None and spec.loader is not None
    coco = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(coco)

    def detect(image: NDArray[np.uint8]):  # type: ignore[no-untyped-def]
        return coco.fastestdet(lambda x: [run(np.ascontiguousarray(x, dtype=np.float32))], image)

    return 100 * float(coco.evaluate(detect)["mAP"])


def super_resolution(seeds: Sequence[Calibrated], name: str) -> Iterator[Verdict]:
    """PSNR on Set5, nothing said of the input; small pictures are continued by their edge to the network's side."""
    limit = psnr_of(float_run(seeds[0])) - _LOSS_BELOW_FLOAT_DB
    layers = [node.name or "" for node in seeds[0].prepared.folded.graph if node.op_type == "Conv"]
    tail = PlanOptions(leave_float_from=(layers[-_LAST_LAYERS],))
    variants: Mapping[str, Callable[[Calibrated], Run]] = {
        "int8": tflite_run,
        "16x8": lambda made: tflite_run(made, Scheme.INT16X8),
        f"int8, last {_LAST_LAYERS} layers float": lambda made: tflite_run(made, planning=replace(tail)),
    }
    for label, make in variants.items():
        found = [psnr_of(make(made)) for made in seeds]
        verdict = at_least(f"{name}: PSNR on Set5, {label}, worst seed", min(found), limit)
        if label == "int8":
            print(f"      {name}: {label} {min(found):.2f} dB (float {limit + _LOSS_BELOW_FLOAT_DB:.2f})", flush=True)
        else:
            yield verdict


def psnr_of(run: Run) -> float:
    """PSNR of ESPCN on Set5, dB."""
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


def _ic() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    (network,) = networks.named(("ic_resnet8",))
    return networks.test_data(network)


TASKS: Mapping[str, Task] = {
    "kws_dscnn": at_least_top1(90.2, lambda: networks.assets().kws()),
    "ic_resnet8": at_least_top1(87.0, _ic),
    "resnet20_akamaster": beside_openvino(0.3),
    "resnet20_chenyaofo": beside_openvino(0.3),
    "resnet56_akamaster": beside_openvino(0.3),
    "vit_d6_smmk47": beside_openvino(0.3),
    "efficientnet_lite0_224": beside_openvino(0.5),
    "mobilenetv1_075_224": beside_openvino(0.5),
    "fastestdet_352": detection,
    "espcn_x3_224": super_resolution,
}
