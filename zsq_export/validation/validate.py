"""Validates one artifact: fidelity, accuracy, latency, executed precisions, gates, findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from zsq_export.backends.base import Backend
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import PreparedModel
from zsq_export.metrics.base import Metric
from zsq_export.planning.plan import FloatOp, SearchStep, TensorPlan
from zsq_export.progress import Progress, silent
from zsq_export.validation.bench import Bench, LocalBench, LocalSettings
from zsq_export.validation.executed import summarize_executed
from zsq_export.validation.fidelity import measure_outputs
from zsq_export.validation.figures import LayerReport
from zsq_export.validation.findings import find
from zsq_export.validation.forecast import AgreementEstimate
from zsq_export.validation.gates import Gates, evaluate_gates
from zsq_export.validation.latency import LatencyOptions
from zsq_export.validation.layers import measure_layers, measure_lowering
from zsq_export.validation.ranges import RangeMeter, RangeReport
from zsq_export.validation.report_types import ValidationReport
from zsq_export.validation.samples import Samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """The artifact that is validated, and the float model that it came from.

    Attributes:
        target: registered name of the backend.
        entry: lowered file to open.
        lowered_bytes: size of everything that is deployed.
        qdq: file of the QDQ model; None: no figures per layer and none of the lowering.
        prepared: the float model. Its source file is the reference of every comparison, its folded form the baseline
            of latency.
        float_bytes: size of the float model on disk.
        layer_reference: float model that the QDQ model was made from, if that is not ``prepared.folded`` (equalized).
        float_ops: left float by the plan.
        provenance: name and value pairs for the report.
        estimate: what ``convert`` predicted; for the report.
        search: the steps that led to the plan; for the report.
        tensors: of the plan.
        seen: tensor name -> range seen in calibration, where it is known.
        pictures: file in the artifact with thumbnails of the calibration's inputs.
    """

    target: str
    entry: Path
    lowered_bytes: int
    qdq: Path | None
    prepared: PreparedModel
    float_bytes: int
    layer_reference: ir.Model | None = None
    float_ops: tuple[FloatOp, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    estimate: AgreementEstimate | None = None
    search: tuple[SearchStep, ...] = ()
    tensors: tuple[TensorPlan, ...] = ()
    seen: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    pictures: str | None = None


@dataclass(frozen=True, kw_only=True)
class ValidationOptions:
    """What to measure and how.

    Attributes:
        gates: limits.
        latency: how to time; None: do not.
        threads: of the runtime; None: its own choice.
        layer_samples: samples for the figures per layer and of the lowering, spread over the data.
        metrics: of both models, the one that the gate is about first.
        progress: called with (what is being done, fraction done or None).
    """

    gates: Gates = field(default_factory=Gates)
    latency: LatencyOptions | None = field(default_factory=LatencyOptions)
    threads: int | None = None
    layer_samples: int = 32
    metrics: tuple[Metric, ...] = ()
    progress: Progress = field(default=silent, compare=False)


def validate_artifact(
    subject: Subject,
    backend: Backend,
    samples: Samples,
    options: ValidationOptions | None = None,
    *,
    bench: Bench | None = None,
) -> ValidationReport:
    """Measures everything; memory stays bounded by a few batches.

    Args:
        subject: artifact and float model.
        backend: of the artifact's target.
        samples: real data, or synthetic inputs that calibration did not see.
        options: see there.
        bench: where the quantized model runs; None: this machine.

    Returns:
        The report with gates evaluated; nothing is raised for a gate that failed (see ``gates.require_gates``).

    Raises:
        TargetUnavailableError: the target's runtime is not here.
        DataError: a sample cannot be read, or a label has no class.
        UsageError: a batch size that the model cannot take.
    """
    options = options or ValidationOptions()
    settings = LocalSettings(threads=options.threads, latency=options.latency, progress=options.progress)
    bench = bench or LocalBench(backend, subject.entry, subject.prepared, settings)
    reference = OrtSession(subject.prepared.source.path, threads=options.threads)
    batch_size = bench.batch_size(samples, reference)
    figures = measure_outputs(reference.run, bench.run, samples, batch_size, options.progress, options.metrics)
    few = samples.spread(options.layer_samples)
    latencies = bench.latencies(samples)
    layers, ranges = _inside(subject, few, batch_size, options)
    report = ValidationReport(
        target=subject.target,
        model=subject.prepared.source.path.name,
        model_sha256=subject.prepared.source.sha256,
        float_bytes=subject.float_bytes,
        quantized_bytes=subject.lowered_bytes,
        provenance=subject.provenance,
        environment=bench.environment(),
        inputs=samples.used(),
        outputs=figures.outputs,
        lowering=() if subject.qdq is None else measure_lowering(subject.qdq, bench.run, few, batch_size),
        layers=layers,
        ranges=ranges,
        accuracy=figures.accuracy,
        confusion=figures.confusion,
        metrics=figures.metrics,
        latency=latencies[0] if latencies else None,
        sweep=latencies[1:],
        executed=summarize_executed(bench.executed()),
        float_ops=subject.float_ops,
        gates=(),
        findings=(),
        estimate=subject.estimate,
        search=subject.search,
        pictures=subject.pictures,
    )
    return judge(report, options.gates)


def judge(report: ValidationReport, gates: Gates) -> ValidationReport:
    """The same figures with gates and findings: re-thresholding without measuring again."""
    return replace(report, gates=evaluate_gates(gates, report), findings=find(report))


def _inside(
    subject: Subject, samples: Samples, batch_size: int, options: ValidationOptions
) -> tuple[LayerReport | None, RangeReport | None]:
    if subject.qdq is None:
        return None, None
    return measure_layers(
        subject.layer_reference or subject.prepared.folded,
        subject.qdq,
        samples,
        subject.prepared.inputs,
        batch_size=batch_size,
        watch=RangeMeter(subject.tensors, subject.seen),
        progress=options.progress,
    )
