"""What one validation found out: figures, gates, findings, and where it was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from zsq_export.metrics.results import MetricResult
from zsq_export.planning.plan import FloatOp, SearchStep
from zsq_export.validation.confusion import Confusion
from zsq_export.validation.figures import (
    Accuracy,
    Agreement,
    ExecutedPrecisions,
    InputsUsed,
    Latency,
    LayerReport,
    OutputFidelity,
)
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind
from zsq_export.validation.ranges import RangeReport

REPORT_SCHEMA_VERSION = 2


class Severity(StrEnum):
    """How much a finding matters."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """One limit and what was measured.

    Attributes:
        name: of the option, "min-agreement".
        limit: as given.
        measured: None where it could not be measured.
        unit: of both.
        passed: False, too, where it could not be measured.
        reason: one sentence for people.
        predicted: ``measured`` is what is to be expected on real data, not what was seen on these inputs.
    """

    name: str
    limit: float
    measured: float | None
    unit: str
    passed: bool
    reason: str
    predicted: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a person should know, in plain language."""

    severity: Severity
    text: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where it was measured.

    Attributes:
        runtime: name and version.
        device: model of the CPU or GPU.
        int8_hardware: extension found, "" if none or unknown.
        platform: operating system and architecture.
        cpu_count: logical cores that this process may use.
        package_version: of zsq-export.
        place: "this machine", or where the device is.
        readings: what the device tells of itself, as name and value: governor, clocks, temperatures, throttling.
    """

    runtime: str
    device: str
    int8_hardware: str
    platform: str
    cpu_count: int
    package_version: str
    place: str = "this machine"
    readings: tuple[tuple[str, str], ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """Everything one validation found out.

    Attributes:
        target: registered name of the backend.
        model: file name of the float model.
        model_sha256: of that file.
        float_bytes, quantized_bytes: sizes on disk of the float model and of the lowered files.
        provenance: name and value pairs from the artifact's manifest (calibrator, seed, ...).
        environment: where it was measured.
        inputs: what it was measured on.
        outputs: quantized model on the device against the float model in ONNX Runtime, per output.
        lowering: quantized model on the device against the QDQ model in ONNX Runtime; empty without a QDQ model.
        layers: along the network; None without a QDQ model.
        ranges: seen against chosen, along the network; None without a QDQ model.
        accuracy: None without labels.
        confusion: of the classes that the two models name; None without class scores.
        metrics: that were asked for.
        latency: None if it was not asked for.
        sweep: latency at further batch sizes and numbers of threads.
        executed: what really ran.
        float_ops: left float by the plan, with reasons.
        gates: limits that were given.
        findings: most important first.
        estimate: agreement on real data as ``convert`` predicted it without any; None where it did not.
        search: the steps of ``convert --search``, in order; empty without a search.
        pictures: file beside the report with thumbnails of the synthetic calibration inputs; None if there is none.
    """

    target: str
    model: str
    model_sha256: str
    float_bytes: int
    quantized_bytes: int
    provenance: tuple[tuple[str, str], ...]
    environment: Environment
    inputs: InputsUsed
    outputs: tuple[OutputFidelity, ...]
    lowering: tuple[OutputFidelity, ...]
    layers: LayerReport | None
    ranges: RangeReport | None
    accuracy: Accuracy | None
    confusion: Confusion | None
    metrics: tuple[MetricResult, ...]
    latency: Latency | None
    executed: ExecutedPrecisions
    float_ops: tuple[FloatOp, ...]
    gates: tuple[GateResult, ...]
    findings: tuple[Finding, ...]
    estimate: AgreementEstimate | None = None
    search: tuple[SearchStep, ...] = ()
    pictures: str | None
    sweep: tuple[Latency, ...] = ()
    schema_version: int = REPORT_SCHEMA_VERSION

    @property
    def passed(self) -> bool:
        """No gate failed."""
        return all(gate.passed for gate in self.gates)

    @property
    def agreement(self) -> Agreement | None:
        """Of the first output that holds class scores; of the worst output where none does."""
        found = [output.agreement for output in self.outputs if output.agreement is not None]
        classes = [agreement for agreement in found if agreement.kind is AgreementKind.TOP1]
        return classes[0] if classes else min(found, key=lambda agreement: agreement.percent, default=None)
