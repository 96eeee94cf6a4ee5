"""Top-1 of the QDQ models in ONNX Runtime, beside that of the target openvino."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import networks
import numpy as np
from numpy.typing import NDArray
from tensorrt_files import SCHEMES, calibrated
from verdicts import Verdict

from zsq_export import pipeline
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.execution.ort_session import OrtSession
from zsq_export.options import CalibrationOptions
from zsq_export.preprocessing import Preprocessing

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
        passed = round(mean, 1) >= round(limit, 1)
        verdicts.append(
            Verdict(what=f"{network.name} int8 top-1", figure=mean, relation=">=", limit=limit, passed=passed)
        )
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
    for label, session in _sessions(calibrated(file, work, options), seed):
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
        session.run({name: inputs[start : start + networks.BATCH]})[session.output_names[0]].argmax(1)
        for start in range(0, len(inputs), networks.BATCH)
    ]
    return 100 * float(np.mean(np.concatenate(found) == labels))
