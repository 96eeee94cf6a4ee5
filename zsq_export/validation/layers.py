"""Fidelity inside the network, and of the lowering: both against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import InputInfo
from zsq_export.graph.topology import is_float
from zsq_export.progress import Progress
from zsq_export.validation.comparison import SignalMeter
from zsq_export.validation.fidelity import OutputComparison
from zsq_export.validation.figures import LayerFidelity, LayerReport, OutputFidelity
from zsq_export.validation.ranges import RangeMeter, RangeReport
from zsq_export.validation.running import Outputs, Run, fixed_batch, run_padded
from zsq_export.validation.samples import Batch, Samples

_TAP_BYTES = 64 << 20
"""For the tapped tensors of one batch of one model; two models are held at once."""
_LARGEST_BATCH = 16

_MOVES_DATA_ONLY = frozenset(
    {
        "Constant", "Cast", "DequantizeLinear", "Expand", "Flatten", "Gather", "Identity", "QuantizeLinear", "Reshape",
        "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Ops that compute nothing: their error is that of their input."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tensor that float and QDQ model have in common."""

    position: int
    node: str
    op_type: str
    tensor: str


def shared_layers(reference: ir.Model, qdq: ir.Model) -> tuple[Layer, ...]:
    """Computed float tensors with the same name in both models, in the order of ``reference``."""
    known = {output.name for node in qdq.graph for output in node.outputs}
    return tuple(
        Layer(position=position, node=node.name or "", op_type=node.op_type, tensor=output.name)
        for position, node in enumerate(reference.graph)
        if node.op_type not in _MOVES_DATA_ONLY
        for output in node.outputs
        if output.name and output.name in known and is_float(output)
    )


def measure_layers(
    reference: ir.Model,
    qdq: Path,
    samples: Samples,
    inputs: Sequence[InputInfo],
    *,
    batch_size: int,
    watch: RangeMeter,
    progress: Progress,
) -> tuple[LayerReport, RangeReport]:
    """SQNR of every computed tensor of the QDQ model against the float one, both in ONNX Runtime, unoptimised.

    Args:
        reference: the float model that the QDQ model was made from; equalized if that one was.
        qdq: file of the QDQ model.
        samples: inputs; a few are enough, labels are not looked at.
        inputs: of the model.
        batch_size: at most so many samples per run.
        watch: shown the same tensors of the float model, and the inputs.
        progress: told what is being done and how far it is.

    Returns:
        The layers, worst first, and the ranges of the tensors that both models have.
    """
    layers = shared_layers(reference, ir.load(qdq))
    names = [layer.tensor for layer in layers]
    sessions = [OrtSession(model, taps=_inner(reference, names), optimize=False) for model in (reference, qdq)]
    meters = {name: SignalMeter() for name in names}
    done = 0
    for batch, traces in _run_both(sessions[0].run, sessions[1].run, samples, inputs, batch_size):
        for name, meter in meters.items():
            meter.add(traces[0][name], traces[1][name])
        watch.add({**batch.feeds, **traces[0]})
        done += len(next(iter(batch.feeds.values())))
        progress("comparing layers", done / len(samples))
    positions = {layer.tensor: layer.position for layer in layers}
    return _report(layers, meters, samples), watch.result(positions, len(samples), samples.origin)


def measure_lowering(qdq: Path, device: Run, samples: Samples, batch_size: int) -> tuple[OutputFidelity, ...]:
    """The lowered model on its device against the QDQ model in ONNX Runtime: what the lowering itself changed.

    Args:
        qdq: file of the QDQ model; runs unoptimised, as its operators are defined.
        device: the lowered model.
        samples: inputs; labels are not looked at.
        batch_size: samples per run.
    """
    session = OrtSession(qdq, optimize=False)
    comparison = OutputComparison(samples.origin)
    for batch in samples.batches(batch_size):
        expected, found = (run_padded(run, batch.feeds, batch_size) for run in (session.run, device))
        comparison.add(expected, found, Batch(feeds=batch.feeds, labels=None))
    return comparison.result().outputs


def _inner(reference: ir.Model, names: Sequence[str]) -> list[str]:
    outputs = {output.name for output in reference.graph.outputs}
    return [name for name in names if name not in outputs]


def _run_both(
    first: Run, second: Run, samples: Samples, inputs: Sequence[InputInfo], limit: int
) -> Iterator[tuple[Batch, tuple[Outputs, Outputs]]]:
    """Traces of both models, in batches whose tapped tensors fit the memory bound."""
    size = fixed_batch(inputs) or _tap_batch(first, samples, limit)
    for batch in samples.batches(size):
        yield batch, (run_padded(first, batch.feeds, size), run_padded(second, batch.feeds, size))


def _tap_batch(run: Run, samples: Samples, limit: int) -> int:
    trace = run(samples.read(range(1)))
    size = sum(array.nbytes for array in trace.values())
    return max(1, min(limit, _LARGEST_BATCH, len(samples), _TAP_BYTES // max(size, 1)))


def _report(layers: Sequence[Layer], meters: dict[str, SignalMeter], samples: Samples) -> LayerReport:
    found = [
        LayerFidelity(
            position=layer.position,
            node=layer.node,
            op_type=layer.op_type,
            tensor=layer.tensor,
            sqnr_db=meters[layer.tensor].sqnr_db,
        )
        for layer in layers
    ]
    worst_first = sorted(found, key=lambda layer: (layer.sqnr_db, layer.position))
    return LayerReport(layers=tuple(worst_first), samples=len(samples), inputs=samples.origin)
