"""QDQ model -> OpenVINO IR: ``model.xml`` and ``model.bin`` with real int8 weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import onnx_ir as ir

from zsq_export.backends.openvino_cpu.runtime import import_openvino
from zsq_export.backends.options import FloatPrecision
from zsq_export.device.openvino_cpu import REST_PRECISION
from zsq_export.graph.saving import save_model

if TYPE_CHECKING:
    import openvino

IR_NAME = "model.xml"


def lower_to_ir(qdq: ir.Model, out_dir: Path, rest: FloatPrecision | None = None) -> tuple[str, ...]:
    """Writes the IR; the same model gives the same bytes.

    Args:
        qdq: the QDQ ONNX model; left unchanged.
        out_dir: exists.
        rest: precision of what is not quantized, noted in the file; None: whoever loads it decides.

    Returns:
        ("model.xml", "model.bin").

    Raises:
        TargetUnavailableError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    converted = to_openvino(qdq)
    name_deterministically(converted, _onnx_names(qdq))
    if rest is not None:
        converted.set_rt_info(rest.value, list(REST_PRECISION))
    openvino.save_model(converted, out_dir / IR_NAME, compress_to_fp16=False)
    return IR_NAME, "model.bin"


def to_openvino(model: ir.Model) -> openvino.Model:
    """The ONNX model as an OpenVINO model in memory.

    Raises:
        TargetUnavailableError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_model(model, path)
        converted = openvino.Core().read_model(path)
        # The reader maps the file into memory; a copy has to outlive the folder.
        return converted.clone()


def name_deterministically(model: openvino.Model, kept: Iterable[str]) -> None:
    """Renames helper ops, which the converter numbers by a counter of the process, by their place in the graph.

    Args:
        model: changed in place.
        kept: names of ONNX nodes and tensors; ops called so keep their name.
    """
    known = set(kept)
    for index, op in enumerate(model.get_ordered_ops()):
        if op.get_friendly_name() not in known:
            op.set_friendly_name(f"{op.get_type_name()}/{index}")


def _onnx_names(model: ir.Model) -> set[str]:
    graph = model.graph
    names = {node.name for node in graph} | {value.name for value in (*graph.inputs, *graph.outputs)}
    return {name for name in names | set(graph.initializers) if name}
