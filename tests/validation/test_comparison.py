from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsq_export.errors import ArtifactError, DataError, ModelError
from zsq_export.graph.prepared import InputInfo
from zsq_export.progress import silent
from zsq_export.quantization.metrics import sqnr_db
from zsq_export.validation.accuracy import AccuracyMeter, paired_standard_error
from zsq_export.validation.comparison import SQNR_LIMIT_DB, OutputMeter, SignalMeter, agreement_of, class_scores
from zsq_export.validation.fidelity import measure_outputs
from zsq_export.validation.figures import Accuracy, InputOrigin, OutputFidelity
from zsq_export.validation.forecast import AgreementKind
from zsq_export.validation.running import choose_batch, run_padded
from zsq_export.validation.samples import Feeds, samples_from_arrays

REAL = InputOrigin.REAL


def meter(reference: np.ndarray, other: np.ndarray, size: int = 3) -> OutputFidelity:
    found = OutputMeter("y", REAL)
    for start in range(0, len(reference), size):
        found.add(reference[start : start + size], other[start : start + size])
    return found.result()


@given(seed=st.integers(0, 1000), samples=st.integers(1, 20), size=st.integers(1, 7), noise=st.floats(1e-4, 10))
def test_figures_do_not_depend_on_the_batches(seed: int, samples: int, size: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    reference = random.normal(size=(samples, 5)).astype(np.float32)
    other = (reference + noise * random.normal(size=(samples, 5))).astype(np.float32)
    found = meter(reference, other, size)
    assert found.sqnr_db == pytest.approx(sqnr_db(reference, other), abs=1e-6)
    assert found.max_abs_error == pytest.approx(np.abs(reference - other).max())
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(other, axis=1)
    assert found.cosine == pytest.approx(np.mean(np.sum(reference * other, axis=1) / norms), abs=1e-5)
    assert found.agreement is not None and found.samples == samples
    assert found.agreement.percent == pytest.approx(100 * np.mean(reference.argmax(1) == other.argmax(1)))


def test_equal_outputs_are_called_identical() -> None:
    reference = np.ones((2, 3), np.float32)
    found = meter(reference, reference)
    assert (found.sqnr_db, found.cosine, found.max_abs_error) == (SQNR_LIMIT_DB, 1.0, 0.0)
    assert found.agreement is not None and found.agreement.percent == 100 and found.agreement.standard_error > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_agree_with_nothing(bad: float) -> None:
    reference = np.eye(4, dtype=np.float32)
    other = reference.copy()
    other[0] = np.nan if np.isnan(bad) else [-np.inf, 0, 0, bad]
    found = meter(reference, other)
    assert found.sqnr_db == -SQNR_LIMIT_DB
    assert math.isfinite(found.max_abs_error) and math.isfinite(found.cosine)
    assert found.agreement is not None and found.agreement.percent == 75


def test_all_zero_reference_has_no_signal() -> None:
    signal = SignalMeter()
    signal.add(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32))
    assert signal.sqnr_db == -SQNR_LIMIT_DB


@pytest.mark.parametrize(
    ("shape", "classes"),
    [((4, 10), 10), ((4, 10, 1, 1), 10), ((4, 1, 10), 10), ((4, 1), None), ((4,), None), ((4, 3, 8, 8), None)],
)
def test_class_scores_are_told_from_other_outputs(shape: tuple[int, ...], classes: int | None) -> None:
    scores = class_scores(np.zeros(shape, np.float32))
    assert (None if scores is None else scores.shape) == (None if classes is None else (4, classes))


def test_outputs_that_are_no_scores_agree_value_by_value() -> None:
    reference = np.random.default_rng(0).normal(3.0, 2.0, (4, 3, 50)).astype(np.float32)
    spread = reference.reshape(4, -1).std(axis=1).reshape(4, 1, 1)
    other = reference + np.float32(0.04) * spread
    other[:, 0] += np.float32(0.02) * spread[:, 0]
    other[0, 1] = np.nan
    found = meter(reference, other).agreement
    assert found is not None and found.kind is AgreementKind.VALUES and found.samples == 4
    assert found.percent == pytest.approx(100 * (1 / 3 + 3 * 2 / 3) / 4)
    assert found.standard_error == pytest.approx(100 * np.std([1 / 3, *[2 / 3] * 3], ddof=1) / 2)


def test_a_constant_output_agrees_only_with_itself() -> None:
    flat = np.ones((2, 3, 4), np.float32)
    same, other = (meter(flat, flat + error).agreement for error in (0, 1e-6))
    assert same is not None and same.percent == 100 and other is not None and other.percent == 0


def test_standard_error_of_agreement_shrinks_with_the_root_of_n() -> None:
    few, many = (agreement_of(9 * n // 10, n, REAL).standard_error for n in (100, 10_000))
    assert many == pytest.approx(100 * math.sqrt(0.09 / 10_000), rel=0.01)
    assert few / many == pytest.approx(10, rel=0.1)


def accuracy(scores: np.ndarray, quantized: np.ndarray, labels: np.ndarray) -> Accuracy:
    found = AccuracyMeter("y", REAL)
    found.add(scores[:3], quantized[:3], labels[:3])
    found.add(scores[3:], quantized[3:], labels[3:])
    return found.result()


def test_accuracy_and_paired_difference_by_hand() -> None:
    labels = np.arange(8) % 4
    scores = np.eye(4, dtype=np.float32)[labels]
    quantized = np.roll(scores, 1, axis=1)
    quantized[:5] = scores[:5]
    found = accuracy(scores, quantized, labels)
    assert (found.top1_float, found.top1_quantized, found.drop, found.samples) == (100, 62.5, 37.5, 8)
    assert found.drop_standard_error == pytest.approx(100 * np.std([0] * 5 + [1] * 3, ddof=1) / math.sqrt(8))
    assert found.top5_float is None


def test_errors_that_both_make_do_not_widen_the_difference() -> None:
    right = np.array([True, False, True, False])
    assert paired_standard_error(right, right) == 0
    assert paired_standard_error(right[:1], ~right[:1]) == 0


def test_top5_counts_the_five_largest() -> None:
    scores = np.tile(np.arange(12, dtype=np.float32), (6, 1))
    found = accuracy(scores, -scores, np.array([11, 10, 9, 8, 7, 6]))
    assert found.top5_float == pytest.approx(100 * 5 / 6) and found.top5_quantized == 0


def test_a_label_without_a_class_is_refused() -> None:
    with pytest.raises(DataError, match="class index 10, but output 'y' has 10 classes"):
        accuracy(np.zeros((4, 10), np.float32), np.zeros((4, 10), np.float32), np.array([0, 10, 1, 2]))


def test_batches_are_filled_up_and_cut_again() -> None:
    seen: list[int] = []

    def run(feeds: Feeds) -> Feeds:
        seen.append(len(feeds["x"]))
        return {"y": 2 * feeds["x"]}

    x = np.arange(3, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(run_padded(run, {"x": x}, 5)["y"], 2 * x)
    assert seen == [5]


def test_an_output_without_batch_axis_is_refused() -> None:
    with pytest.raises(ModelError, match=r"output 'y' has shape \[1\] for a batch of 2"):
        run_padded(lambda feeds: {"y": feeds["x"][:1]}, {"x": np.zeros(2, np.float32)}, 2)


def test_a_model_with_a_baked_in_batch_is_found_out() -> None:
    def only_one(feeds: Feeds) -> Feeds:
        if len(feeds["x"]) != 1:
            raise ModelError("Reshape does not fit")
        return {"y": feeds["x"]}

    samples = samples_from_arrays({"x": np.zeros((8, 4), np.float32)})
    free, fixed = (InputInfo(name="x", shape=(batch, 4)) for batch in (None, 4))
    assert choose_batch(samples, [free], only_one) == 1
    assert choose_batch(samples, [free], lambda feeds: {"y": feeds["x"]}) == 8
    assert choose_batch(samples, [fixed], only_one) == 4


def test_large_inputs_go_in_small_batches() -> None:
    samples = samples_from_arrays({"x": np.zeros((40, 3, 224, 224), np.float32)})
    size = choose_batch(samples, [InputInfo(name="x", shape=(None, 3, 224, 224))], lambda feeds: {"y": feeds["x"]})
    assert 1 < size < 20


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"z": np.zeros((2, 3), np.float32)}, "has no output 'y', only: z"),
        ({"y": np.zeros((2, 4), np.float32)}, r"\[2, 4\]"),
    ],
)
def test_an_artifact_with_other_outputs_is_refused(outputs: Feeds, message: str) -> None:
    samples = samples_from_arrays({"x": np.zeros((2, 3), np.float32)})
    with pytest.raises(ArtifactError, match=message):
        measure_outputs(lambda feeds: {"y": feeds["x"]}, lambda _: outputs, samples, 2, silent)
