"""The figures of a validation. Each says on how many and on what kind of inputs it rests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zsq_export.backends.base import ExecutedOp
from zsq_export.validation.forecast import AgreementKind


class InputOrigin(StrEnum):
    """What kind of inputs a figure was measured on."""

    REAL = "real"
    SYNTHETIC = "synthetic held-out"


@dataclass(frozen=True, kw_only=True)
class InputsUsed:
    """The inputs behind the figures.

    Attributes:
        origin: real data, or synthetic inputs that calibration did not see.
        description: where they came from, for people.
        samples: how many there are.
        labelled: whether it is known what the model should say.
    """

    origin: InputOrigin
    description: str
    samples: int
    labelled: bool


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often two models name the same class.

    Attributes:
        percent: share of samples with the same largest score, 0..100.
        standard_error: of ``percent``, in points (binomial).
        samples: compared.
        inputs: real or synthetic.
        kind: what agreeing means here.
    """

    percent: float
    standard_error: float
    samples: int
    inputs: InputOrigin
    kind: AgreementKind = AgreementKind.TOP1


@dataclass(frozen=True, kw_only=True)
class OutputFidelity:
    """One output of a model against the same output of its reference.

    Attributes:
        output: name of the graph output.
        shape: of one sample.
        sqnr_db: 10·log10(Σ reference² / Σ error²) over all samples; ±200 stands for "no error" and "no signal".
        cosine: mean cosine similarity of a sample's output to its reference.
        max_abs_error: largest absolute difference seen.
        agreement: for class scores only.
        samples: compared.
        inputs: real or synthetic.
    """

    output: str
    shape: tuple[int, ...]
    sqnr_db: float
    cosine: float
    max_abs_error: float
    agreement: Agreement | None
    samples: int
    inputs: InputOrigin


@dataclass(frozen=True, kw_only=True)
class LayerFidelity:
    """One inner tensor of the QDQ model against the float model, both in ONNX Runtime.

    Attributes:
        position: of the node in the network, from 0, in execution order.
        node: that computes the tensor.
        op_type: of the node.
        tensor: compared.
        sqnr_db: as in :class:`OutputFidelity`; holds the error of everything before it, too.
    """

    position: int
    node: str
    op_type: str
    tensor: str
    sqnr_db: float


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """Fidelity along the network.

    Attributes:
        layers: worst first.
        samples: behind every figure.
        inputs: real or synthetic.
    """

    layers: tuple[LayerFidelity, ...]
    samples: int
    inputs: InputOrigin


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Float and quantized model on the same labelled samples.

    Attributes:
        output: the class scores that were used.
        top1_float, top1_quantized: percent.
        top5_float, top5_quantized: percent; None with fewer than ten classes.
        drop: ``top1_float - top1_quantized``, points; negative where the quantized model is better.
        drop_standard_error: of the paired difference, points.
        samples: labelled samples.
        inputs: real or synthetic.
    """

    output: str
    top1_float: float
    top1_quantized: float
    top5_float: float | None
    top5_quantized: float | None
    drop: float
    drop_standard_error: float
    samples: int
    inputs: InputOrigin

    @property
    def change(self) -> float:
        """``top1_quantized - top1_float``, points: what people read more easily than a negative drop."""
        return self.top1_quantized - self.top1_float


@dataclass(frozen=True, kw_only=True)
class LatencySeries:
    """Times of one model, milliseconds per batch.

    Attributes:
        label: "float f32", "int8", ...
        precision: of the float model; None for the quantized one.
        median_ms, q25_ms, q75_ms: over the rounds.
        minimum_ms: fastest round.
        rounds: how many.
        inferences: how many were timed in one round.
        millijoules: energy per inference; None where the platform has no counter.
    """

    label: str
    precision: str | None
    median_ms: float
    q25_ms: float
    q75_ms: float
    minimum_ms: float
    rounds: int
    inferences: int
    millijoules: float | None = None


@dataclass(frozen=True, kw_only=True)
class SpeedUp:
    """How many times faster the quantized model is than one float baseline.

    Attributes:
        baseline: label of the float series.
        ratio: median over the rounds of float time / int8 time of the same round.
        low, high: 95 % confidence interval of the ratio (bootstrap over rounds).
    """

    baseline: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Latency of the quantized model beside the float model in the same runtime, rounds interleaved.

    Attributes:
        batch_size: samples per inference.
        threads: asked for; None: the runtime's choice.
        series: float f32 first, int8 last.
        speedups: against every float precision, in the order of the series.
        best_float: label of the fastest float series: the honest baseline.
        warmed_up: warm-up ended because the times were stable, not because its time was over.
        inputs: real or synthetic.
        disturbed_rounds: left out, because others had or wanted the processor in them.
        energy: which counter was read, or why there is none.
        raised_priority: the system let every second round be timed at a raised priority.
    """

    batch_size: int
    threads: int | None
    series: tuple[LatencySeries, ...]
    speedups: tuple[SpeedUp, ...]
    best_float: str
    warmed_up: bool
    inputs: InputOrigin
    disturbed_rounds: int = 0
    energy: str = "not measured"
    raised_priority: bool = False

    @property
    def measured_energy(self) -> bool:
        """Whether there was a counter."""
        return any(series.millijoules is not None for series in self.series)

    @property
    def against_best(self) -> SpeedUp:
        """The speed-up against the fastest float precision."""
        return next(speedup for speedup in self.speedups if speedup.baseline == self.best_float)


@dataclass(frozen=True, kw_only=True)
class PrecisionShare:
    """Part of the work that ran in one precision.

    Attributes:
        precision: as the runtime calls it.
        macs: multiply-accumulates of one sample.
        share: of all multiply-accumulates, 0..1.
        ops: number of ops.
    """

    precision: str
    macs: int
    share: float
    ops: int


@dataclass(frozen=True, kw_only=True)
class ExecutedPrecisions:
    """What really ran, read from the runtime.

    Attributes:
        int8_mac_share: share of the multiply-accumulates in 8-bit integers, 0..1; None where nothing multiplies.
        shares: per precision, most work first.
        ops: every op, in the runtime's order.
    """

    int8_mac_share: float | None
    shares: tuple[PrecisionShare, ...]
    ops: tuple[ExecutedOp, ...]
