"""Gates, findings and executed precisions: what is made of the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports import make_latency, make_report

from zsq_export.backends.base import ExecutedOp
from zsq_export.errors import GateFailedError
from zsq_export.validation.executed import summarize_executed
from zsq_export.validation.figures import InputOrigin, Latency, SpeedUp
from zsq_export.validation.findings import find
from zsq_export.validation.gates import Gates, evaluate_gates, require_gates
from zsq_export.validation.report_types import Severity, ValidationReport

REPORT = replace(make_report(), metrics=())


@pytest.mark.parametrize(
    ("gates", "passed"),
    [
        (Gates(min_agreement=98.5), True),
        (Gates(min_agreement=98.6), False),
        (Gates(max_accuracy_drop=0.4), True),
        (Gates(max_accuracy_drop=0.39), False),
        (Gates(max_accuracy_drop=-1), False),
        (Gates(min_speedup=1.5), True),
        (Gates(min_speedup=1.51), False),
    ],
)
def test_a_limit_itself_passes(gates: Gates, passed: bool) -> None:
    (result,) = evaluate_gates(gates, REPORT)
    assert result.passed is passed


def test_speedup_is_held_against_the_best_float_precision() -> None:
    (result,) = evaluate_gates(Gates(min_speedup=1.9), REPORT)
    assert result.measured == pytest.approx(1.5) and not result.passed


@pytest.mark.parametrize(
    ("gates", "report", "why"),
    [
        (Gates(min_agreement=90), replace(REPORT, outputs=()), "the model has no outputs"),
        (Gates(max_accuracy_drop=9), make_report(InputOrigin.SYNTHETIC), "give it with --data"),
        (Gates(max_accuracy_drop=9), replace(REPORT, accuracy=None), "no output holds class scores"),
        (Gates(min_speedup=0.1), replace(REPORT, latency=None), "latency was not measured"),
    ],
)
def test_what_cannot_be_measured_does_not_pass(gates: Gates, report: ValidationReport, why: str) -> None:
    (result,) = evaluate_gates(gates, report)
    assert not result.passed and result.measured is None and why in result.reason


def test_failed_gates_set_the_exit_code_and_are_all_named() -> None:
    with pytest.raises(
        GateFailedError, match=r"min-agreement failed: 98\.50 %, at least 99 wanted.*; gate min-sp"
    ) as error:
        require_gates(evaluate_gates(Gates(min_agreement=99, max_accuracy_drop=5, min_speedup=3), REPORT))
    assert error.value.exit_code == 3 and "max-accuracy-drop" not in str(error.value)
    require_gates(evaluate_gates(Gates(), REPORT))


def test_gates_on_synthetic_inputs_say_so() -> None:
    report = replace(make_report(InputOrigin.SYNTHETIC), estimate=None)
    (result,) = evaluate_gates(Gates(min_agreement=99), report)
    assert "synthetic" in result.reason


def test_on_synthetic_inputs_the_estimate_for_real_data_counts() -> None:
    report = make_report(InputOrigin.SYNTHETIC)
    (result,) = evaluate_gates(Gates(min_agreement=98.1), report)
    assert result.passed and result.measured == 98.1 and "estimated for real data" in result.reason
    assert result.predicted and not evaluate_gates(Gates(min_speedup=1.0), report)[0].predicted
    (real,) = evaluate_gates(Gates(min_agreement=98.5), make_report(InputOrigin.REAL))
    assert real.passed and real.measured == 98.5 and not real.predicted


def test_a_device_that_is_far_from_what_convert_saw_is_not_excused_by_the_estimate() -> None:
    report = make_report(InputOrigin.SYNTHETIC)
    agreement = report.agreement
    assert agreement is not None
    broken = replace(report, outputs=(replace(report.outputs[0], agreement=replace(agreement, percent=60.0)),))
    (result,) = evaluate_gates(Gates(min_agreement=98), broken)
    assert not result.passed and result.measured == 60.0


def texts(report: ValidationReport, severity: Severity) -> str:
    return " ".join(finding.text for finding in find(report) if finding.severity is severity)


def with_speedup(ratio: float, low: float, high: float) -> Latency:
    best = SpeedUp(baseline="float bf16", ratio=ratio, low=low, high=high)
    return replace(make_latency(), speedups=(make_latency().speedups[0], best))


def test_int8_slower_than_the_best_float_is_a_finding() -> None:
    slow = texts(replace(REPORT, latency=with_speedup(0.8, 0.75, 0.85)), Severity.WARNING)
    assert "int8 is slower than float bf16" in slow and "0.80" in slow
    same = texts(replace(REPORT, latency=with_speedup(1.01, 0.97, 1.05)), Severity.NOTE)
    assert "not measurably faster" in same
    assert "int8 is faster" in texts(REPORT, Severity.GOOD)


def test_a_loss_counts_only_beyond_its_error() -> None:
    assert REPORT.accuracy is not None
    lost, unclear = (
        replace(REPORT, accuracy=replace(REPORT.accuracy, drop=2.0, drop_standard_error=error)) for error in (0.5, 1.5)
    )
    assert "accuracy falls" in texts(lost, Severity.WARNING)
    assert "No measurable loss" in texts(unclear, Severity.GOOD)


def test_a_float_model_near_chance_points_at_the_data() -> None:
    assert REPORT.accuracy is not None
    wrong = replace(REPORT, accuracy=replace(REPORT.accuracy, top1_float=11.0))
    assert "check the preprocessing" in texts(wrong, Severity.WARNING)


def test_agreement_that_hides_a_clipped_output_is_a_finding() -> None:
    clipped = replace(REPORT, outputs=(replace(REPORT.outputs[0], sqnr_db=11.0),))
    assert "range is probably clipped" in texts(clipped, Severity.WARNING)


def test_a_lowering_that_computes_something_else_is_a_finding() -> None:
    other = replace(REPORT, lowering=(replace(REPORT.outputs[0], sqnr_db=3.0),))
    assert "something else than the plan" in texts(other, Severity.WARNING)


def test_work_left_in_float_is_named() -> None:
    ops = (
        ExecutedOp(name="a", op_type="Convolution", precision="u8", macs=60),
        ExecutedOp(name="b", op_type="Convolution", precision="f32", macs=10),
        ExecutedOp(name="c", op_type="MatMul", precision="bf16", macs=30),
    )
    found = summarize_executed(ops)
    assert found.int8_mac_share == pytest.approx(0.6)
    assert [(share.precision, share.macs, share.ops) for share in found.shares] == [
        ("u8", 60, 1),
        ("bf16", 30, 1),
        ("f32", 10, 1),
    ]
    assert "60.0 %" in texts(replace(REPORT, executed=found), Severity.WARNING)
    assert "c (MatMul, bf16)" in texts(replace(REPORT, executed=found), Severity.WARNING)


def test_a_runtime_that_says_nothing_gives_no_share() -> None:
    found = summarize_executed(())
    assert found.int8_mac_share is None
    assert "does not say" in texts(replace(REPORT, executed=found), Severity.NOTE)


def test_outputs_that_are_not_finite_are_the_first_finding() -> None:
    broken = replace(REPORT, outputs=(replace(REPORT.outputs[0], sqnr_db=-200.0),))
    assert "NaN" in find(broken)[0].text


def test_synthetic_inputs_are_a_finding() -> None:
    assert "not how accurate" in texts(make_report(InputOrigin.SYNTHETIC), Severity.NOTE)


def test_the_drop_of_a_metric_is_judged_in_its_own_unit() -> None:
    """Positive is worse, whichever way the metric runs."""
    report = make_report()
    (metric,) = report.metrics
    (result,) = evaluate_gates(Gates(max_accuracy_drop=0.9), report)
    assert (result.measured, result.unit, result.passed) == (1.0, "points", False)
    error = replace(metric, name="mse", unit="", higher_is_better=False, drop=0.002)
    (result,) = evaluate_gates(Gates(max_accuracy_drop=0.01), replace(report, metrics=(error, metric)))
    assert result.passed and result.unit == "" and "0.002, at most 0.01 wanted" in result.reason


@pytest.mark.parametrize(
    ("drop", "error", "severity"),
    [(1.0, None, Severity.NOTE), (0.0, None, Severity.GOOD), (-1.0, None, Severity.GOOD), (1.0, 0.6, Severity.GOOD)],
)
def test_a_loss_of_a_metric_is_a_finding_where_it_is_more_than_chance(
    drop: float, error: float | None, severity: Severity
) -> None:
    report = make_report()
    metric = replace(report.metrics[0], drop=drop, drop_standard_error=error)
    found = find(replace(report, metrics=(metric,)))
    assert [finding.severity for finding in found if "coco-map" in finding.text] == [severity]


def test_throttling_is_a_warning() -> None:
    readings = (("thermal throttle events before", "3"), ("thermal throttle events after", "9"))
    hot = replace(REPORT, environment=replace(REPORT.environment, readings=readings))
    assert "throttled while it was measured" in texts(hot, Severity.WARNING)
    assert "throttled" not in texts(REPORT, Severity.WARNING)
