"""A validation report with every part filled in, for tests of what is made of one."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.backends.base import ExecutedOp
from zsq_export.metrics.results import MetricDetail, MetricResult
from zsq_export.planning.plan import FloatOp, SearchAction, SearchStep
from zsq_export.validation.confusion import Confusion, ConfusionCell
from zsq_export.validation.executed import summarize_executed
from zsq_export.validation.figures import (
    Accuracy,
    Agreement,
    InputOrigin,
    InputsUsed,
    Latency,
    LatencySeries,
    LayerFidelity,
    LayerReport,
    OutputFidelity,
    SpeedUp,
)
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind, Confidence, EstimatePart
from zsq_export.validation.gates import Gates
from zsq_export.validation.ranges import RangeReport, TensorRange
from zsq_export.validation.report_types import Environment, ValidationReport
from zsq_export.validation.validate import judge

SERIES = ((2.0, "float f32", "f32"), (1.5, "float bf16", "bf16"), (1.0, "int8", None))


def make_report(origin: InputOrigin = InputOrigin.REAL, gates: Gates | None = None) -> ValidationReport:
    """A plausible report of a ten-class network."""
    real = origin is InputOrigin.REAL
    agreement = Agreement(percent=98.5, standard_error=0.6, samples=500, inputs=origin)
    output = OutputFidelity(
        output="logits", shape=(10,), sqnr_db=27.3, cosine=0.9987, max_abs_error=0.71, agreement=agreement, samples=500,
        inputs=origin,
    )  # fmt: skip
    accuracy = Accuracy(
        output="logits", top1_float=97.2, top1_quantized=96.8, top5_float=99.9, top5_quantized=99.8, drop=0.4,
        drop_standard_error=0.35, samples=500, inputs=origin,
    )  # fmt: skip
    report = ValidationReport(
        target="openvino",
        model="digits <1>.onnx",
        model_sha256="0" * 64,
        float_bytes=4_000_000,
        quantized_bytes=1_050_000,
        provenance=(("calibrator", "bn-inversion"), ("seed", "0")),
        environment=Environment(
            runtime="openvino 2026.4.1", device="a CPU", int8_hardware="avx512_vnni",
            platform="Linux x86_64", cpu_count=2, package_version="0.1.0",
        ),
        inputs=InputsUsed(origin=origin, description="500 samples", samples=500, labelled=real),
        outputs=(output,),
        lowering=(output,),
        layers=make_layers(origin),
        ranges=make_ranges(origin),
        accuracy=accuracy if real else None,
        confusion=make_confusion(origin),
        metrics=(make_metric(origin),) if real else (),
        latency=make_latency(origin),
        executed=summarize_executed(
            (
                ExecutedOp(name="conv1", op_type="Convolution", precision="i8", macs=970),
                ExecutedOp(name="head", op_type="FullyConnected", precision="f32", macs=30),
                ExecutedOp(name="softmax", op_type="Softmax", precision="f32", macs=0),
            )
        ),
        float_ops=(FloatOp(node="softmax", op_type="Softmax", reason="no int8 kernel"),),
        gates=(),
        findings=(),
        estimate=make_estimate(),
        search=make_search(),
        pictures=None,
    )  # fmt: skip
    return judge(report, gates or Gates())


def make_estimate() -> AgreementEstimate:
    """98.1 %, between 96.9 and 98.9, on two sets of inputs that contradict each other a little."""
    parts = (
        EstimatePart(inputs="procedural pictures", samples=128, agreement=97.2, sqnr_db=26.1),
        EstimatePart(inputs="pictures driven to classes", samples=32, agreement=100.0, sqnr_db=22.4),
    )
    return AgreementEstimate(
        percent=98.1, low=96.9, high=98.9, coverage=0.93, kind=AgreementKind.TOP1, confidence=Confidence.LOW,
        reasons=("the parts differ by 2.8 points",), parts=parts,
    )  # fmt: skip


def make_search() -> tuple[SearchStep, ...]:
    """A start that is not good enough, a step that is, and one that was given up."""
    start = SearchStep(
        action=SearchAction.START, nodes=(), reason="as planned", agreement=97.0, agreement_low=95.1, sqnr_db=21.0,
        speedup=1.62, speedup_low=1.58, speedup_high=1.66, kept=True,
    )  # fmt: skip
    better = replace(
        start, action=SearchAction.KEEP_FLOAT, nodes=("head", "conv1"), reason="they cost most", agreement=98.1,
        agreement_low=96.9, sqnr_db=26.1, speedup=1.4, speedup_low=1.38, speedup_high=1.42,
    )  # fmt: skip
    given_up = replace(better, action=SearchAction.DROP_SLOW, nodes=("add",), reason="not faster", kept=False,
                       speedup=None, speedup_low=None, speedup_high=None)  # fmt: skip
    return start, better, given_up


def make_layers(origin: InputOrigin = InputOrigin.REAL) -> LayerReport:
    """Twelve layers whose SQNR falls along the network."""
    layers = [
        LayerFidelity(position=i, node=f"node_{i}", op_type="Conv", tensor=f"t{i}", sqnr_db=20.0 + 2 * (11 - i) + i % 3)
        for i in range(12)
    ]
    return LayerReport(layers=tuple(sorted(layers, key=lambda layer: layer.sqnr_db)), samples=32, inputs=origin)


def make_ranges(origin: InputOrigin = InputOrigin.REAL) -> RangeReport:
    """The input and twelve layers, the last one clipped."""
    ranges = [
        TensorRange(
            tensor=f"t{i}", position=i, low=-1.0, high=6.0 + i, bits=8, seen_low=-0.8, seen_high=5.5 + i,
            clipped=0.0 if i < 11 else 0.02, calibration_low=-1.0, calibration_high=6.0 + i,
        )
        for i in range(-1, 12)
    ]  # fmt: skip
    return RangeReport(tensors=tuple(ranges), samples=32, inputs=origin)


def make_confusion(origin: InputOrigin = InputOrigin.REAL) -> Confusion:
    """Ten classes, fifty samples each, of which class 3 is taken for class 8 seven times."""
    cells = [ConfusionCell(float_class=i, quantized_class=i, samples=50 - 7 * (i == 3)) for i in range(10)]
    cells.insert(4, ConfusionCell(float_class=3, quantized_class=8, samples=7))
    return Confusion(output="logits", classes=10, cells=tuple(cells), samples=500, inputs=origin)


def make_metric(origin: InputOrigin = InputOrigin.REAL) -> MetricResult:
    """One point of mAP lost."""
    return MetricResult(
        name="coco-map", unit="%", higher_is_better=True, float_value=15.5, quantized_value=14.5, drop=1.0,
        drop_standard_error=None, details=(MetricDetail(name="AP50", float_value=30.0, quantized_value=29.0),),
        samples=158, inputs=origin,
    )  # fmt: skip


def make_latency(origin: InputOrigin = InputOrigin.REAL) -> Latency:
    """f32 2 ms, bf16 1.5 ms, int8 1 ms."""
    series = tuple(
        LatencySeries(
            label=label, precision=precision, median_ms=ms, q25_ms=0.95 * ms, q75_ms=1.1 * ms, minimum_ms=0.9 * ms,
            rounds=100, inferences=2,
        )
        for ms, label, precision in SERIES
    )  # fmt: skip
    speedups = tuple(
        SpeedUp(baseline=label, ratio=ms, low=0.97 * ms, high=1.03 * ms) for ms, label, precision in SERIES if precision
    )
    return Latency(
        batch_size=1,
        threads=None,
        series=series,
        speedups=speedups,
        best_float="float bf16",
        warmed_up=True,
        inputs=origin,
    )
