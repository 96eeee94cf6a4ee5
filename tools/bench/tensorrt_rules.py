"""Rules of TensorRT that a QDQ graph breaks: ours, and what others write."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx
from numpy.typing import NDArray
from verdicts import Verdict, at_least, at_most

from zsq_export.backends.tensorrt_gpu.rules import check_rules
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.quantized import load_quantized
from zsq_export.graph.saving import save_model
from zsq_export.inspection_of_qdq import inspect_qdq

FEWEST_KINDS = 5


def measure_rules(work: Path) -> list[Verdict]:
    """Our graphs break no rule; what ONNX Runtime's quantizer writes by default breaks several."""
    verdicts = []
    for file in sorted((work / "artifacts").glob("*/qdq.onnx")):
        broken = len(inspect_qdq(file, ("tensorrt",)).targets[0].violations)
        verdicts.append(at_most(f"{file.parent.name} violations", broken, 0))
    for name in ("resnet20_akamaster", "efficientnet_lite0_224"):
        (network,) = networks.named((name,))
        kinds = _default_quantizer(networks.assets_dir() / network.file, work)
        verdicts.append(
            at_least(
                f"{name} kinds of violation in onnxruntime's default ({', '.join(kinds)})", len(kinds), FEWEST_KINDS
            )
        )
    return verdicts


def _default_quantizer(file: Path, work: Path) -> list[str]:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

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
