"""Builds every network of the assets with TensorRT for RTX and prints PASS or FAIL per line of what is needed.

    python tools/bench/tensorrt_benchmark.py                     # everything, about half an hour on two cores
    python tools/bench/tensorrt_benchmark.py --only engines      # sizes and precisions; needs no accuracy runs
    python tools/bench/tensorrt_benchmark.py --only rules
    python tools/bench/tensorrt_benchmark.py --only accuracy -s 0

Needs the evaluation assets (ZSQ_ASSETS) and the extra tensorrt-rtx; no GPU. Calibrations are kept under <work>.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import networks
import numpy as np
import onnx
from numpy.typing import NDArray
from resnet50 import write_resnet50
from verdicts import Verdict

from zsq_export import pipeline
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.backends.tensorrt_gpu.layers import layers_from_json
from zsq_export.backends.tensorrt_gpu.lower import build_in_memory
from zsq_export.backends.tensorrt_gpu.rules import check_rules
from zsq_export.backends.tensorrt_gpu.runtime import import_library
from zsq_export.calib.base import Effort
from zsq_export.calib.saved import save_calibration
from zsq_export.errors import ZsqError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.saving import save_model
from zsq_export.inspection_of_qdq import inspect_qdq
from zsq_export.options import CalibrationOptions
from zsq_export.planning.schemes import Scheme
from zsq_export.preprocessing import Preprocessing

TARGET = "tensorrt-rtx"
SCHEMES = (Scheme.FP16, Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT)
OTHERS = ("mlperf_tiny/kws_dscnn.onnx", "coco/fastestdet_352.onnx", "superres/espcn_x3_224.onnx")
"""Networks of the assets that the core benchmark does not measure."""

OPENVINO_TOP1 = {
    "resnet20_akamaster": 91.6,
    "resnet56_akamaster": 92.6,
    "resnet20_chenyaofo": 92.5,
    "vit_d6_smmk47": 70.5,
    "ic_resnet8": 88.1,
    "efficientnet_lite0_224": 82.5,
    "mobilenetv1_075_224": 77.9,
}
"""Of the README: mean of seeds 0, 1, 2, no data."""
ALLOWED_LOSS = 0.5
LARGEST_RATIO = {"resnet50": 0.40, "efficientnet_lite0_224": 0.65}
FEWEST_KINDS = 5
BATCH = 50


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


def _calibrated(file: Path, work: Path, options: CalibrationOptions) -> pipeline.Calibrated:
    """The calibration, made once per file and options."""
    saved = work / "calibrations" / f"{file.stem}-{options.calibrator}-{options.seed}.npz"
    if saved.is_file():
        return pipeline.resume(file, saved)
    saved.parent.mkdir(parents=True, exist_ok=True)
    made = pipeline.calibrate(file, options)
    save_calibration(made.result, saved, made.prepared, overwrite=True)
    return made


def _files(work: Path) -> Iterator[Path]:
    work.mkdir(parents=True, exist_ok=True)
    folder = networks.assets_dir()
    yield from (folder / network.file for network in networks.NETWORKS)
    yield from (folder / name for name in OTHERS)
    yield write_resnet50(work / "resnet50.onnx")


def measure_engines(work: Path) -> tuple[list[Engine], list[str]]:
    """Every network in every scheme, ranges from the image prior."""
    library = import_library(get_backend(TARGET).flavour)  # type: ignore[attr-defined]
    engines, failures = [], []
    for file in _files(work):
        calibrator = "random" if file.stem == "resnet50" else "prior"
        made = _calibrated(file, work, CalibrationOptions(calibrator=calibrator, effort=Effort.FAST))
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
        verdicts.append(_verdict(f"{name} int8 engine / float32 engine", ratio, "<=", limit, ratio <= limit))
    names = dict.fromkeys(engine.network for engine in engines)
    for name in names:
        built = len({engine.scheme for engine in engines if engine.network == name} - {"f32"})
        verdicts.append(_verdict(f"{name} schemes built", built, ">=", len(SCHEMES), built == len(SCHEMES)))
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


def measure_rules(work: Path) -> list[Verdict]:
    """Our graphs break no rule; what ONNX Runtime's quantizer writes by default breaks several."""
    verdicts = []
    for file in sorted((work / "artifacts").glob("*/qdq.onnx")):
        broken = len(inspect_qdq(file, ("tensorrt",)).targets[0].violations)
        verdicts.append(_verdict(f"{file.parent.name} violations", broken, "<=", 0, broken == 0))
    for name in ("resnet20_akamaster", "efficientnet_lite0_224"):
        (network,) = networks.named((name,))
        kinds = _default_quantizer(networks.assets_dir() / network.file, work)
        verdicts.append(
            _verdict(
                f"{name} kinds of violation in onnxruntime's default ({', '.join(kinds)})",
                len(kinds),
                ">=",
                FEWEST_KINDS,
                len(kinds) >= FEWEST_KINDS,
            )
        )
    return verdicts


def _default_quantizer(file: Path, work: Path) -> list[str]:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    from zsq_export.graph.prepare import prepare_model
    from zsq_export.graph.quantized import load_quantized

    prepared = prepare_model(file)
    folded, quantized = work / "folded.onnx", work / "by_onnxruntime.onnx"
    save_model(prepared.folded, folded)
    shape = tuple(side or 1 for side in prepared.inputs[0].shape)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            self._feeds = iter([{prepared.inputs[0].name: noise}])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    quantize_static(folded, quantized, Reader())
    assert onnx.load(quantized).graph.node
    return sorted({item.rule for item in check_rules(load_quantized(quantized))})


def measure_accuracy(work: Path, seeds: Sequence[int], names: tuple[str, ...]) -> tuple[list[Verdict], str]:
    """Top-1 of the QDQ models in ONNX Runtime, calibrated by ``auto`` without data; measured cells are kept."""
    lines = [
        "| network | FP32 | OpenVINO, README | OpenVINO QDQ | int8 | fp8 | int4-weight |",
        "|---|---|---|---|---|---|---|",
    ]
    verdicts = []
    for network in networks.named(names):
        cells = [_accuracy_cell(network, seed, work) for seed in seeds]
        readme, limit = OPENVINO_TOP1[network.name], OPENVINO_TOP1[network.name] - ALLOWED_LOSS
        mean = float(np.mean([cell["int8"] for cell in cells]))
        verdicts.append(_verdict(f"{network.name} int8 top-1", mean, ">=", limit, round(mean, 1) >= round(limit, 1)))
        columns = " | ".join(_mean_and_seeds(cells, label) for label in ("openvino", "int8", "fp8", "int4-weight"))
        lines.append(f"| {network.name} | {cells[0]['float']:.1f} | {readme:.1f} | {columns} |")
    return verdicts, "\n".join(lines)


def _mean_and_seeds(cells: Sequence[dict[str, float]], label: str) -> str:
    found = [cell[label] for cell in cells]
    return f"{np.mean(found):.1f} ({', '.join(f'{value:.1f}' for value in found)})"


def _accuracy_cell(network: networks.Network, seed: int, work: Path) -> dict[str, float]:
    """Top-1 per placement, in percent."""
    saved = work / "accuracy" / f"{network.name}-{seed}.json"
    if saved.is_file():
        kept: dict[str, float] = json.loads(saved.read_text())
        return kept
    inputs, labels = networks.test_data(network)
    file = networks.assets_dir() / network.file
    given = networks.write_spec(network, work / f"{network.name}.spec.json") if network.spec else None
    options = CalibrationOptions(seed=seed, preprocessing=Preprocessing.load(given) if given else None)
    cell = {"float": _top1(OrtSession(file), inputs, labels)}
    for label, session in _sessions(_calibrated(file, work, options), seed):
        cell[label] = _top1(session, inputs, labels)
        print(network.name, seed, label, f"{cell[label]:.1f}", file=sys.stderr, flush=True)
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_text(json.dumps(cell) + "\n")
    return cell


def _sessions(made: pipeline.Calibrated, seed: int) -> Iterator[tuple[str, OrtSession]]:
    """The QDQ models of one calibration."""
    targets = [("openvino", get_backend("openvino"))]
    targets += [
        (scheme.value, get_backend("tensorrt").configured(TargetOptions(scheme=scheme))) for scheme in SCHEMES[1:]
    ]
    conversion = pipeline.Conversion(model=Path(), targets=(), output=Path(), calibration=CalibrationOptions(seed=seed))
    for label, backend in targets:
        plan = pipeline.plan_for(made, backend, conversion.planning)
        rounded = pipeline.round_plan(conversion, made, plan)
        yield label, OrtSession(pipeline.insert_qdq(made.prepared, rounded.plan, rounded.integers))


def _top1(session: OrtSession, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    (name,) = session.input_shapes
    found = [
        session.run({name: inputs[start : start + BATCH]})[session.output_names[0]].argmax(1)
        for start in range(0, len(inputs), BATCH)
    ]
    return 100 * float(np.mean(np.concatenate(found) == labels))


def _verdict(what: str, figure: float, relation: str, limit: float, passed: bool) -> Verdict:
    return Verdict(what=what, figure=figure, relation=relation, limit=limit, passed=passed)


def main() -> int:
    """Measures, prints and saves; 1 if anything needed was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("engines", "rules", "accuracy"), help="one part instead of all")
    parser.add_argument("-n", "--network", action="append", default=[], help="of the accuracy part; repeatable")
    parser.add_argument("-s", "--seed", action="append", type=int, default=[], help="default: 0 1 2")
    parser.add_argument("--work", type=Path, default=Path("build/tensorrt"), help="calibrations and artifacts")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    verdicts: list[Verdict] = []
    failures: list[str] = []
    if options.only in (None, "engines"):
        engines, failures = measure_engines(work)
        verdicts += judge_engines(engines)
        print(engine_table(engines))
    if options.only in (None, "rules"):
        verdicts += measure_rules(work)
    if options.only in (None, "accuracy"):
        found, table = measure_accuracy(work, options.seed or [0, 1, 2], tuple(options.network))
        verdicts += found
        print(table)
    print(*failures, *verdicts, sep="\n")
    return 1 if failures or not all(verdict.passed for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
