"""How the PyTorch executor on CUDA agrees with itself on the CPU and with ONNX Runtime, network by network."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

OTHERS = ("mlperf_tiny/kws_dscnn.onnx", "coco/fastestdet_352.onnx", "superres/espcn_x3_224.onnx")
BATCH = 50
UNLABELLED = 32
"""Pictures of the image prior, for networks without labelled data in the folder."""
LARGEST_SQNR = 200.0
"""Shown for outputs that are equal to the last bit."""
_SCORES_RANK = 2

Feeds = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """One network: agreement in percent (None for a network without classes) and SQNR in dB.

    The PyTorch executor on CUDA is compared with itself on the CPU (QDQ model), and with ONNX Runtime on the CPU (float
    and QDQ model).
    """

    network: str
    samples: int
    devices: tuple[float | None, float]
    whole: tuple[float | None, float]
    qdq: tuple[float | None, float]


def loaders_of(folder: Path) -> ModuleType:
    """The assets' own module of loaders."""
    spec = importlib.util.spec_from_file_location("zsq_assets", folder / "assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numerics(assets: Path) -> Iterator[Numerics]:
    """The TensorRT placement of every network, with ranges from the image prior."""
    import torch

    from zsq_export.backends.options import TargetOptions
    from zsq_export.backends.registry import get_backend
    from zsq_export.calib.base import Effort
    from zsq_export.options import CalibrationOptions
    from zsq_export.pipeline import calibrate, insert_qdq, plan_for
    from zsq_export.planning.options import PlanOptions
    from zsq_export.planning.schemes import Scheme

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    backend = get_backend("tensorrt").configured(TargetOptions(scheme=Scheme.INT8))
    for name in (*loaders_of(assets).MODELS, *OTHERS):
        print(f"numerics of {name}", file=sys.stderr, flush=True)
        made = calibrate(assets / name, CalibrationOptions(calibrator="prior", effort=Effort.FAST))
        qdq = insert_qdq(made.prepared, plan_for(made, backend, PlanOptions()))
        feeds = _feeds(assets, name, made)
        reference = _outputs_of_executor(qdq, feeds, "cuda")
        yield Numerics(
            network=Path(name).stem,
            samples=len(next(iter(feeds.values()))),
            devices=_compared(_outputs_of_executor(qdq, feeds, "cpu"), reference),
            whole=_compared(_outputs_of_session(made.prepared.folded, feeds),
                            _outputs_of_executor(made.prepared.folded, feeds, "cuda")),
            qdq=_compared(_outputs_of_session(qdq, feeds), reference),
        )  # fmt: skip


def _feeds(assets: Path, name: str, made: Any) -> dict[str, NDArray[np.float32]]:
    """Labelled test data where there is some, else pictures of the prior that calibration did not see."""
    loaders, info = loaders_of(assets), made.prepared.inputs[0]
    if name in loaders.MODELS:
        preprocessing, _side, family = loaders.MODELS[name]
        pixels, _labels = loaders.cifar10() if family == "cifar10" else loaders.imagenet()
        return {info.name: loaders.nchw(pixels, preprocessing)}
    if "kws" in name:
        return {info.name: np.ascontiguousarray(loaders.kws()[0].reshape(-1, *info.shape[1:]), dtype=np.float32)}
    from zsq_export.calib.convention import detect_convention
    from zsq_export.calib.synthesis import normalise, prior_pictures, sole_picture

    picture = sole_picture(made.prepared)
    assert picture is not None
    convention = made.result.preprocessing or detect_convention(made.prepared, picture).preprocessing
    count = info.shape[0] or UNLABELLED
    return {info.name: picture.arrange(normalise(prior_pictures(picture, seed=77, count=count), convention))}


def _batches(feeds: Feeds) -> Iterator[tuple[str, NDArray[np.float32]]]:
    (name, array), *_ = feeds.items()
    return ((name, array[start : start + BATCH]) for start in range(0, len(array), BATCH))


def _outputs_of_session(model: Any, feeds: Feeds) -> list[Feeds]:
    from zsq_export.execution.ort_session import OrtSession

    session = OrtSession(model, optimize=False)
    return [session.run({name: batch}) for name, batch in _batches(feeds)]


def _outputs_of_executor(model: Any, feeds: Feeds, device: str) -> list[Feeds]:
    import torch

    from zsq_export.execution.torch_executor import TorchExecutor

    executor = TorchExecutor(model, device=device)
    with torch.no_grad():
        runs = [executor({name: torch.from_numpy(batch).to(device)}).outputs for name, batch in _batches(feeds)]
    return [{name: tensor.float().cpu().numpy() for name, tensor in outputs.items()} for outputs in runs]


def _compared(expected: list[Feeds], found: list[Feeds]) -> tuple[float | None, float]:
    """Share of equal top-1 classes in percent (None for a network without), and the mean SQNR of outputs in dB."""
    from zsq_export.quantization.metrics import sqnr_db

    equal, sqnr = [], []
    for references, outputs in zip(expected, found, strict=True):
        for name, reference in references.items():
            if reference.ndim == _SCORES_RANK:
                equal.append(outputs[name].argmax(1) == reference.argmax(1))
            sqnr.append(sqnr_db(reference, outputs[name]))
    return 100 * float(np.mean(np.concatenate(equal))) if equal else None, float(
        np.mean(np.minimum(sqnr, LARGEST_SQNR))
    )
