"""Engines of every network in every scheme: do they build, how large are they, and what runs in which precision."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tensorrt_files import SCHEMES, TARGET, calibrated, files
from verdicts import Verdict, at_least, at_most

from zsq_export import pipeline
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.backends.tensorrt_gpu.layers import layers_from_json
from zsq_export.backends.tensorrt_gpu.lower import build_in_memory
from zsq_export.backends.tensorrt_gpu.runtime import import_library
from zsq_export.calib.base import Effort
from zsq_export.errors import ZsqError
from zsq_export.options import CalibrationOptions
from zsq_export.planning.schemes import Scheme

LARGEST_RATIO = {"resnet50": 0.40, "efficientnet_lite0_224": 0.65}


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine: bytes, its size as a multiple of the float32 engine's, share of the arithmetic per precision."""

    network: str
    scheme: str
    size: int
    ratio: float
    shares: tuple[tuple[str, float], ...]
    quantized: int
    float32_ops: int


def measure_engines(work: Path) -> tuple[list[Engine], list[str]]:
    """Every network in every scheme, ranges from the image prior."""
    library = import_library(get_backend(TARGET).flavour)  # type: ignore[attr-defined]
    engines, failures = [], []
    for file in files(work):
        calibrator = "random" if file.stem == "resnet50" else "prior"
        made = calibrated(file, work, CalibrationOptions(calibrator=calibrator, effort=Effort.FAST))
        float32 = len(build_in_memory(library, made.prepared.folded, TargetOptions()))
        engines.append(_engine(file.stem, "f32", float32, float32, {}, 0, 0))
        for scheme in SCHEMES:
            print(f"building {file.stem} {scheme.value}", file=sys.stderr, flush=True)
            try:
                engines.append(_built(file, made, scheme, float32, work))
            except ZsqError as error:
                failures.append(f"FAIL  {file.stem} {scheme.value} does not build: {error}")
    return engines, failures


def _built(file: Path, made: pipeline.Calibrated, scheme: Scheme, float32: int, work: Path) -> Engine:
    out = work / "artifacts" / f"{file.stem}-{scheme.value}"
    conversion = pipeline.Conversion(
        model=file,
        targets=(TARGET,),
        output=out,
        saved_calibration=work / "calibrations" / f"{file.stem}-{made.result.provenance.calibrator}-0.npz",
        target_options=TargetOptions(scheme=scheme),
        overwrite=True,
    )
    (artifact,) = pipeline.convert(conversion)
    plan = json.loads((out / "plan.json").read_text())
    macs: Counter[str] = Counter()
    for layer in layers_from_json((out / "layers.json").read_text()):
        macs[layer.precision] += layer.macs
    weights = sum(1 for item in plan["tensors"] if item["role"] == "weight")
    return _engine(
        file.stem, scheme.value, artifact.entry.stat().st_size, float32, macs, weights, len(plan["float32_ops"])
    )


def _engine(
    network: str, scheme: str, size: int, float32: int, macs: dict[str, int], quantized: int, float32_ops: int
) -> Engine:
    total = sum(macs.values()) or 1
    shares = tuple((name, count / total) for name, count in Counter(macs).most_common() if count)
    return Engine(
        network=network, scheme=scheme, size=size, ratio=size / float32, shares=shares, quantized=quantized,
        float32_ops=float32_ops,
    )  # fmt: skip


def judge_engines(engines: Sequence[Engine]) -> list[Verdict]:
    """Every scheme builds, and large networks are mostly narrow weights."""
    verdicts = []
    for name, limit in LARGEST_RATIO.items():
        ratio = next(engine.ratio for engine in engines if (engine.network, engine.scheme) == (name, "int8"))
        verdicts.append(at_most(f"{name} int8 engine / float32 engine", ratio, limit))
    names = dict.fromkeys(engine.network for engine in engines)
    for name in names:
        built = len({engine.scheme for engine in engines if engine.network == name} - {"f32"})
        verdicts.append(at_least(f"{name} schemes built", built, len(SCHEMES)))
    return verdicts


def engine_table(engines: Sequence[Engine]) -> str:
    """Markdown."""
    lines = [
        "| network | scheme | engine, kB | of float32 | quantized weights | arithmetic in |",
        "|---|---|---|---|---|---|",
    ]
    for engine in engines:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in engine.shares)
        lines.append(
            f"| {engine.network} | {engine.scheme} | {engine.size / 1e3:.0f} | {engine.ratio:.2f} | "
            f"{engine.quantized} | {shares} |"
        )
    return "\n".join(lines)
