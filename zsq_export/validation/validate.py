"""Validates one artifact: fidelity, accuracy, latency, executed precisions, gates, findings."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from zsq_export.backends.base import Backend, Runner
from zsq_export.errors import TargetUnavailableError, UsageError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.planning.plan import FloatOp, SearchStep, TensorPlan
from zsq_export.validation.executed import summarize_executed
from zsq_export.validation.fidelity import Progress, measure_outputs
from zsq_export.validation.figures import Latency, LayerReport
from zsq_export.validation.findings import find
from zsq_export.validation.forecast import AgreementEstimate
from zsq_export.validation.gates import Gates, evaluate_gates
from zsq_export.validation.latency import Candidate, LatencyOptions, measure_latency
from zsq_export.validation.layers import measure_layers, measure_lowering
from zsq_export.validation.ranges import RangeMeter, RangeReport
from zsq_export.validation.report_types import Environment, ValidationReport
from zsq_export.validation.running import choose_batch, fixed_batch
from zsq_export.validation.samples import Feeds, Samples
from zsq_export.version import version


def _silent(_message: str, _done: float | None) -> None:
    """Progress sink of a caller who wants none."""


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
        progress: called with (what is being done, fraction done or None).
    """

    gates: Gates = field(default_factory=Gates)
    latency: LatencyOptions | None = field(default_factory=LatencyOptions)
    threads: int | None = None
    layer_samples: int = 32
    progress: Progress = field(default=_silent, compare=False)


def validate_artifact(
    subject: Subject, backend: Backend, samples: Samples, options: ValidationOptions | None = None
) -> ValidationReport:
    """Measures everything on this machine; memory stays bounded by a few batches.

    Args:
        subject: artifact and float model.
        backend: of the artifact's target.
        samples: real data, or synthetic inputs that calibration did not see.
        options: see there.

    Returns:
        The report with gates evaluated; nothing is raised for a gate that failed (see ``gates.require_gates``).

    Raises:
        TargetUnavailableError: the target's runtime is not here.
        DataError: a sample cannot be read, or a label has no class.
        UsageError: a batch size that the model cannot take.
    """
    options = options or ValidationOptions()
    environment = _environment(backend)
    latency_batch = _latency_batch(subject.prepared.inputs, options.latency)
    runner = backend.open(subject.entry, threads=options.threads)
    reference = OrtSession(subject.prepared.source.path, threads=options.threads)
    inputs = subject.prepared.inputs
    batch_size = choose_batch(samples, inputs, reference.run)
    figures = measure_outputs(reference.run, runner.run, samples, batch_size, options.progress)
    few = samples.spread(options.layer_samples)
    layers, ranges = _inside(subject, few, batch_size, options)
    report = ValidationReport(
        target=subject.target,
        model=subject.prepared.source.path.name,
        model_sha256=subject.prepared.source.sha256,
        float_bytes=subject.float_bytes,
        quantized_bytes=subject.lowered_bytes,
        provenance=subject.provenance,
        environment=environment,
        inputs=samples.used(),
        outputs=figures.outputs,
        lowering=() if subject.qdq is None else measure_lowering(subject.qdq, runner.run, few, batch_size),
        layers=layers,
        ranges=ranges,
        accuracy=figures.accuracy,
        confusion=figures.confusion,
        metrics=(),
        latency=None
        if options.latency is None
        else _latency(subject, backend, runner, samples.head(latency_batch), options),
        executed=summarize_executed(runner.executed_precisions()),
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


def _latency(
    subject: Subject, backend: Backend, runner: Runner, samples: Samples, options: ValidationOptions
) -> Latency:
    assert options.latency is not None
    options.progress("measuring latency", None)
    batch_size = _latency_batch(subject.prepared.inputs, options.latency)
    feeds = _repeat(samples.read(range(len(samples))), batch_size)
    floats = [
        Candidate(
            label=f"float {precision.value}",
            precision=precision.value,
            call=backend.open_float(subject.prepared.folded, precision, threads=options.threads).bind(feeds),
        )
        for precision in backend.float_precisions()
    ]
    return measure_latency(
        [*floats, Candidate(label="int8", precision=None, call=runner.bind(feeds))],
        options.latency,
        batch_size=batch_size,
        threads=options.threads,
        inputs=samples.origin,
    )


def _latency_batch(inputs: Sequence[InputInfo], options: LatencyOptions | None) -> int:
    fixed, wanted = fixed_batch(inputs), options.batch_size if options else None
    if fixed is not None and wanted not in (None, fixed):
        raise UsageError(
            f"the model has a fixed batch size of {fixed}, latency cannot be measured at {wanted}",
            hint="export the model with a dynamic batch, or leave --batch-size out",
        )
    return fixed or wanted or 1


def _repeat(feeds: Feeds, batch_size: int) -> Feeds:
    """Fills a batch from fewer samples by using them again."""
    return {name: array[np.arange(batch_size) % len(array)] for name, array in feeds.items()}


def _environment(backend: Backend) -> Environment:
    probe = backend.probe()
    if not probe.available:
        raise TargetUnavailableError(f"target {backend.name} cannot run here", hint=probe.hint)
    return Environment(
        runtime=probe.runtime,
        device=probe.device,
        int8_hardware=probe.int8_hardware,
        platform=f"{platform.system()} {platform.machine()}",
        cpu_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        package_version=version(),
    )
