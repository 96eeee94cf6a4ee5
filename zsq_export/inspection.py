"""What a model is, which calibrators can work on it, and what each target would leave in float."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.registry import backend_names, get_backend
from zsq_export.calib.registry import calibrator_names, get_calibrator
from zsq_export.errors import ZsqError
from zsq_export.graph.macs import node_macs
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.reading import read_proto
from zsq_export.graph.source import source_size
from zsq_export.graph.topology import static_shape
from zsq_export.planning.placement import place
from zsq_export.planning.plan import FloatOp
from zsq_export.suggestions import KEEP_BATCHNORM

REEXPORT_HINT = f"if the network has BatchNorm layers, export it again with them kept; {KEEP_BATCHNORM}"


@dataclass(frozen=True, kw_only=True)
class TensorSummary:
    """A graph input or output: element type as ONNX calls it, dimensions with None where symbolic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class CalibratorFit:
    """One calibrator and why it cannot work on the model ("" if it can)."""

    name: str
    summary: str
    obstacle: str


@dataclass(frozen=True, kw_only=True)
class TargetFit:
    """What one target would do with the model.

    Attributes:
        name: registered name.
        quantized_mac_share: planned share of the multiply-accumulates in integers, 0..1; None where nothing multiplies.
        float_ops: ops that would stay float, with reasons.
        problem: why nothing can be said; "" normally.
    """

    name: str
    quantized_mac_share: float | None = None
    float_ops: tuple[FloatOp, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """See the module's docstring.

    Attributes:
        file: path as given.
        sha256: see :func:`zsq_export.graph.source.source_file`.
        size: bytes, external data included.
        opset: of the standard operators, as in the file.
        producer: program that wrote the file.
        inputs, outputs: of the graph.
        op_counts: (op type, how many) in the file, most first.
        parameters: numbers in the constant float tensors.
        macs: multiply-accumulates of one sample; open sides count as 224.
        batchnorms: BatchNormalization layers whose statistics can be used.
        hint: what to do for a better result; "" normally.
        calibrators: all of them.
        targets: all of them, or those asked for.
    """

    file: str
    sha256: str
    size: int
    opset: int
    producer: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    op_counts: tuple[tuple[str, int], ...]
    parameters: int
    macs: int
    batchnorms: int
    hint: str
    calibrators: tuple[CalibratorFit, ...]
    targets: tuple[TargetFit, ...]


def inspect_model(path: Path, targets: tuple[str, ...] = ()) -> Inspection:
    """Looks at a model without calibrating it.

    Args:
        path: the .onnx file.
        targets: names; empty: all registered.

    Raises:
        UsageError: there is no such target.
        ModelError: the model cannot be read or quantized.
    """
    if targets:
        for name in targets:
            get_backend(name)
    proto = read_proto(path)
    prepared = prepare_model(path)
    macs = node_macs(prepared.folded)
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    return Inspection(
        file=str(path),
        sha256=prepared.source.sha256,
        size=source_size(path),
        opset=opsets.get("", opsets.get("ai.onnx", 0)),
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        inputs=_summaries(prepared.with_batchnorm.graph.inputs),
        outputs=_summaries(prepared.with_batchnorm.graph.outputs),
        op_counts=tuple(Counter(node.op_type for node in proto.graph.node).most_common()),
        parameters=_parameters(prepared.folded),
        macs=sum(macs.values()),
        batchnorms=len(prepared.batchnorms),
        hint="" if prepared.batchnorms else f"no BatchNormalization left; {REEXPORT_HINT}",
        calibrators=tuple(_calibrator(name, prepared) for name in calibrator_names()),
        targets=tuple(_target(name, prepared, macs) for name in targets or backend_names()),
    )


def _summaries(values: Sequence[ir.Value]) -> tuple[TensorSummary, ...]:
    return tuple(
        TensorSummary(
            name=str(value.name),
            dtype="unknown" if value.dtype is None else value.dtype.name.lower(),
            shape=static_shape(value) or (),
        )
        for value in values
    )


def _parameters(model: ir.Model) -> int:
    values = (value.const_value for value in model.graph.initializers.values() if value.dtype == ir.DataType.FLOAT)
    return sum(int(tensor.size) for tensor in values if tensor is not None)


def _calibrator(name: str, prepared: PreparedModel) -> CalibratorFit:
    try:
        calibrator = get_calibrator(name)
        return CalibratorFit(name=name, summary=calibrator.summary, obstacle=calibrator.obstacle(prepared) or "")
    except ZsqError as error:
        return CalibratorFit(name=name, summary="", obstacle=str(error))


def _target(name: str, prepared: PreparedModel, macs: dict[str, int]) -> TargetFit:
    try:
        placement = place(prepared.folded, get_backend(name).placement())
    except ZsqError as error:
        return TargetFit(name=name, problem=str(error))
    in_float = {op.node for op in placement.float_ops}
    total = sum(macs.values())
    quantized = sum(count for node, count in macs.items() if node not in in_float)
    return TargetFit(
        name=name,
        quantized_mac_share=quantized / total if total else None,
        float_ops=tuple(placement.float_ops),
    )
