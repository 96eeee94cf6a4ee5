"""Inputs that no calibrator saw."""

from __future__ import annotations

import numpy as np
import pytest
from digits import PREPROCESSING, DigitsModel
from onnx_graphs import model, node, weights
from plans import prepared as as_prepared

from zsq_export.calib.base import CalibrationRequest
from zsq_export.calib.prior.calibrator import PriorCalibrator
from zsq_export.estimate.estimator import Estimator
from zsq_export.estimate.held_out import DRIVEN, FACETS, PICTURES, held_out_sets
from zsq_export.estimate.mismatch import calibration_mismatch
from zsq_export.estimate.pictures import facet_pictures
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.validation.forecast import AgreementKind, Confidence


@pytest.fixture(scope="module")
def digits(digits_model: DigitsModel) -> PreparedModel:
    return prepare_model(digits_model.path)


def test_the_same_seed_gives_the_same_inputs_and_another_others(digits: PreparedModel) -> None:
    first, again, other = (held_out_sets(digits, seed=seed, preprocessing=PREPROCESSING) for seed in (0, 0, 1))
    assert [held.name for held in first] == [PICTURES, FACETS, DRIVEN]
    for held, same, changed in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(held.inputs["x"], same.inputs["x"])
        assert not np.array_equal(held.inputs["x"], changed.inputs["x"])


def test_none_of_them_is_an_input_of_the_calibrator(digits: PreparedModel) -> None:
    made = PriorCalibrator().calibrate(digits, CalibrationRequest(preprocessing=PREPROCESSING)).inputs["x"]
    for held in held_out_sets(digits, seed=0, preprocessing=PREPROCESSING):
        assert all(np.abs(made - one).max(axis=(1, 2, 3)).min() > 0.1 for one in held.inputs["x"][:8])


def test_of_large_pictures_fewer_are_drawn() -> None:
    def count(side: int) -> int:
        graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(1, 3, 1, 1)}, inputs={"x": ["n", 3, side, side]})
        return len(held_out_sets(as_prepared(graph), seed=0, preprocessing=PREPROCESSING)[0].inputs["x"])

    assert count(16) == 192 and count(300) == 74


def test_driven_inputs_leave_no_doubt(digits: PreparedModel) -> None:
    sets = {held.name: held for held in held_out_sets(digits, seed=0, preprocessing=PREPROCESSING)}
    session = OrtSession(digits.source.path)

    def margin(name: str) -> float:
        scores = np.sort(session.run({"x": sets[name].inputs["x"]})["logits"], axis=1)
        return float(np.median(scores[:, -1] - scores[:, -2]))

    assert margin(DRIVEN) > 1.5 * margin(PICTURES)


def test_without_classes_or_in_a_hurry_nothing_is_driven(digits: PreparedModel) -> None:
    assert [held.name for held in held_out_sets(digits, seed=0, preprocessing=None, driven=False)] == [PICTURES, FACETS]
    picture = as_prepared(
        model([node("Conv", ["x", "w"], "y")], {"w": weights(2, 3, 3, 3)}, inputs={"x": ["n", 3, 16, 16]})
    )
    assert [held.name for held in held_out_sets(picture, seed=0, preprocessing=PREPROCESSING)] == [PICTURES, FACETS]


def test_inputs_that_are_no_pictures_get_fields() -> None:
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": weights(7, 5)}, inputs={"x": ["n", 7]})
    sets = held_out_sets(as_prepared(graph), seed=0, preprocessing=None)
    assert {held.inputs["x"].shape[1:] for held in sets} == {(7,)} and len(sets) >= 2


def test_facets_are_pictures_of_another_kind() -> None:
    made = facet_pictures(seed=3, count=6, channels=3, height=20, width=30)
    assert made.shape == (6, 3, 20, 30) and made.dtype == np.float32
    assert made.min() >= 0 and made.max() <= 1 and made.std() > 0.05
    steps = np.abs(np.diff(made, axis=3))
    assert np.quantile(steps, 0.99) > 8 * np.median(steps), "flat regions with sharp borders"


def test_random_inputs_do_not_match_batchnorm(digits: PreparedModel) -> None:
    from zsq_export.calib.random_inputs import RandomCalibrator

    request = CalibrationRequest(preprocessing=PREPROCESSING)
    matching, random = (
        calibration_mismatch(digits, calibrator.calibrate(digits, request).statistics)
        for calibrator in (PriorCalibrator(), RandomCalibrator())
    )
    assert matching is not None and random is not None and random > 2 * matching
    assert calibration_mismatch(digits, {}) is None


def test_the_float_model_agrees_with_itself_and_a_shuffled_one_does_not(digits: PreparedModel) -> None:
    estimator = Estimator(digits, PriorCalibrator().calibrate(digits, CalibrationRequest(preprocessing=PREPROCESSING)))
    session = OrtSession(digits.source.path)
    same = estimator.judge(session.run)
    assert estimator.kind is AgreementKind.TOP1 and same.percent > 99 and same.confidence is Confidence.HIGH
    broken = estimator.judge(lambda feeds: {"logits": np.roll(session.run(feeds)["logits"], 3, axis=1)})
    assert broken.percent < 50 and broken.confidence is Confidence.LOW
