from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from zsq_export.errors import DataError
from zsq_export.metrics.base import Metric, MetricBatch, MetricValue
from zsq_export.metrics.pictures import Miou, Psnr
from zsq_export.metrics.raw import Cosine, Mse

RNG = np.random.default_rng(0)


def measured(
    metric: Metric, output: np.ndarray, targets: list[np.ndarray] | None, reference: np.ndarray
) -> MetricValue:
    meter = metric.meter()
    meter.add({"y": output}, MetricBatch(inputs={"x": output}, targets=targets, reference={"y": reference}))
    return meter.result()


def psnr(output: np.ndarray, target: np.ndarray, **settings: object) -> float:
    return measured(Psnr().configured(settings), output[None], [target], output[None]).value


def test_psnr_is_its_formula() -> None:
    target = np.full((1, 8, 8), 0.5, np.float32)
    assert psnr(target + 0.1, target, levels=None) == pytest.approx(20, abs=1e-4)
    assert psnr(255 * (target + 0.1), 255 * target, data_range=255.0, levels=None) == pytest.approx(20, abs=1e-4)
    assert psnr(target, target, levels=None) == 200


def test_outputs_are_clipped_and_rounded_as_when_they_are_saved() -> None:
    white = np.ones((1, 8, 8), np.float32)
    assert psnr(1.7 * white, white) == 200
    assert psnr(white * 100.4 / 255, white * 100 / 255) > 150
    assert psnr(white * 100.4 / 255, white * 100 / 255, levels=None) < 60


def test_the_border_does_not_count() -> None:
    target = RNG.random((1, 12, 12))
    found = target.copy()
    found[:, :2] += 0.5
    assert psnr(found, target, levels=None) < 20 and psnr(found, target, levels=None, border=2) == 200


def test_what_belongs_to_the_padding_of_the_input_is_cut_off() -> None:
    target = RNG.random((1, 5, 7))
    found = np.ones((1, 9, 9))
    found[:, :5, :7] = target
    assert psnr(found, target, levels=None) == 200


def test_outputs_in_other_units_are_converted() -> None:
    target = RNG.random((3, 6, 6))
    assert psnr((target - 0.5) / 0.5, target, scale=0.5, offset=0.5, levels=None) > 150


@pytest.mark.parametrize(("output", "target"), [((1, 4, 4), (1, 5, 5)), ((3, 4, 4), (4, 4)), ((1, 4, 4), (1, 4, 4))])
def test_psnr_needs_room(output: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="psnr"):
        psnr(np.zeros(output), np.zeros(target), border=2)


def test_miou_is_that_of_scikit_learn() -> None:
    wanted = RNG.integers(0, 4, (2, 6, 6))
    scores = RNG.normal(size=(2, 4, 6, 6)).astype(np.float32)
    found = measured(Miou(), scores, list(wanted), scores)
    expected = jaccard_score(wanted.ravel(), scores.argmax(1).ravel(), average="macro")
    assert found.value == pytest.approx(100 * expected)
    assert dict(found.details)["pixel accuracy"] == pytest.approx(100 * np.mean(scores.argmax(1) == wanted))
    last = Miou().configured({"class_axis": 3})
    assert measured(last, scores.transpose(0, 2, 3, 1), list(wanted), scores).value == pytest.approx(100 * expected)


def test_pixels_that_nothing_is_known_of_do_not_count() -> None:
    wanted = np.array([[0, 255], [-1, 1]])
    scores = np.zeros((1, 2, 2, 2), np.float32)
    scores[0, 1, 1, 1] = 1
    assert measured(Miou(), scores, [wanted], scores).value == 100


def test_a_smaller_output_is_compared_where_its_pixels_lie() -> None:
    wanted = np.repeat(np.repeat(np.array([[0, 1], [2, 3]]), 4, 0), 4, 1)
    indices = np.float32([[[0, 1], [2, 3]]])
    assert measured(Miou(), indices, [wanted], indices).value == 100


def test_a_class_that_the_model_does_not_have_is_an_error() -> None:
    with pytest.raises(DataError, match="class 7"):
        measured(Miou(), np.zeros((1, 2, 2, 2), np.float32), [np.full((2, 2), 7)], np.zeros((1, 2, 2, 2)))


def test_cosine_and_mse_compare_with_the_float_model() -> None:
    reference = np.float32([[1, 0], [3, 4], [0, 0]])
    output = np.float32([[1, 1], [3, 4], [0, 1]])
    assert measured(Cosine(), output, None, reference).value == pytest.approx((math.sqrt(0.5) + 1 + 0) / 3)
    assert measured(Mse(), output, None, reference).value == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert measured(Cosine(), reference, None, reference).value == 1
    assert measured(Mse(), reference, None, reference).value == 0
