"""What a CUDA device shows without TensorRT: the QDQ graph's numerics there, and how fast BatchNorm inversion is.

    python tools/bench/gpu_benchmark.py stage .gpu          # here: a wheel, the networks and their data in one folder
    python .gpu/gpu_benchmark.py run .gpu --out DIR         # on the device machine, once the wheel is installed

``run`` needs torch with CUDA, onnx, onnx-ir, onnxscript, onnxruntime, pillow, rich, click and jinja2 beside the wheel
(``pip install --no-index --no-deps --target SITE .gpu/*.whl``). The networks come from the evaluation assets.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

INVERTED = "imagenet/efficientnet_lite0_224.onnx"
OTHERS = ("mlperf_tiny/kws_dscnn.onnx", "coco/fastestdet_352.onnx", "superres/espcn_x3_224.onnx")
DATA = ("cifar10/cifar10_test1000.npz", "imagenet/ilsvrc2012_val650_227px.zip", "mlperf_tiny/kws01.npz")
BATCH = 50
UNLABELLED = 32
"""Pictures of the image prior, for networks without labelled data in the folder."""
SMALLEST_AGREEMENT = 99.9
SMALLEST_SPEEDUP = 10.0
SMALLEST_SQNR = 60.0
"""For networks that are no classifiers."""
LARGEST_SQNR = 200.0
"""Shown for outputs that are equal to the last bit."""
CPU_THREADS = 2
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


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """BatchNorm inversion with default settings: seconds of the optimisation and of the whole calibration."""

    device: str
    optimisation: float
    whole: float
    batchnorm_loss: float


def stage(folder: Path) -> None:
    """Copies what ``run`` needs; about 60 MB."""
    assets = Path(os.environ.get("ZSQ_ASSETS") or Path(__file__).resolve().parents[3] / "shared" / "assets")
    models = (*_assets(assets).MODELS, *OTHERS)
    for name in ("assets.py", *models, *DATA):
        target = folder / "assets" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(assets / name, target)
    shutil.copy(__file__, folder)
    repository = Path(__file__).resolve().parents[2]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(repository),
    ]
    subprocess.run(command, check=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB")


def _assets(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("zsq_assets", folder / "assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, out: Path) -> int:
    """Measures everything, prints PASS or FAIL per line, writes ``gpu.json``; 1 if something was missed."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device")
    numerics = list(_numerics(folder / "assets"))
    inversions = [_inversion(folder / "assets" / INVERTED, device) for device in ("cuda", "cpu")]
    raw = {
        "gpu": torch.cuda.get_device_name(0),
        "capability": torch.cuda.get_device_capability(0),
        "torch": torch.__version__,
        "cpu threads of the comparison": CPU_THREADS,
        "numerics": [asdict(item) for item in numerics],
        "inversion": [asdict(item) for item in inversions],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps(raw, indent=1) + "\n")
    lines = [*_verdicts(numerics, inversions)]
    print(f"{raw['gpu']}, torch {raw['torch']}", *_tables(numerics, inversions), *(line for line, _ in lines), sep="\n")
    return 0 if all(passed for _, passed in lines) else 1


def _verdicts(numerics: list[Numerics], inversions: list[Inversion]) -> Iterator[tuple[str, bool]]:
    for item in numerics:
        pairs = (("QDQ, CUDA and CPU", item.devices), ("float, CUDA and ONNX Runtime", item.whole))
        for what, (agreement, sqnr) in pairs:
            figure, limit = (sqnr, SMALLEST_SQNR) if agreement is None else (agreement, SMALLEST_AGREEMENT)
            passed, unit = figure >= limit, "dB" if agreement is None else "%"
            yield f"{'PASS' if passed else 'FAIL'}  {item.network} {what}: {figure:.2f} {unit} (>= {limit:.1f})", passed
    cuda, cpu = inversions
    speedup = cpu.optimisation / cuda.optimisation
    passed = speedup >= SMALLEST_SPEEDUP
    yield (
        f"{'PASS' if passed else 'FAIL'}  inversion CPU/CUDA: {speedup:.1f} (needed >= {SMALLEST_SPEEDUP:.0f})",
        passed,
    )


def _tables(numerics: list[Numerics], inversions: list[Inversion]) -> Iterator[str]:
    yield "| network (samples) | QDQ, executor on CUDA and on the CPU | float, CUDA and ORT | QDQ, CUDA and ORT |"
    yield "|---|---|---|---|"
    for item in numerics:
        cells = " | ".join(_cell(*pair) for pair in (item.devices, item.whole, item.qdq))
        yield f"| {item.network} ({item.samples}) | {cells} |"
    yield "| device | optimisation, s | whole calibration, s | BatchNorm loss |"
    yield "|---|---|---|---|"
    for inversion in inversions:
        yield (
            f"| {inversion.device} | {inversion.optimisation:.2f} | {inversion.whole:.1f} | "
            f"{inversion.batchnorm_loss:.4f} |"
        )


def _cell(agreement: float | None, sqnr: float) -> str:
    return f"{'–' if agreement is None else f'{agreement:.2f}'} / {sqnr:.1f}"


def _numerics(assets: Path) -> Iterator[Numerics]:
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
    for name in (*_assets(assets).MODELS, *OTHERS):
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
    loaders, info = _assets(assets), made.prepared.inputs[0]
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


def _inversion(file: Path, device: str) -> Inversion:
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


def main() -> int:
    """Stages or runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("stage", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    options = parser.parse_args()
    if options.command == "stage":
        stage(options.folder.resolve())
        return 0
    return run(options.folder.resolve(), options.out.resolve())


if __name__ == "__main__":
    sys.exit(main())
