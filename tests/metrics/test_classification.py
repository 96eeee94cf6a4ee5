from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from zsq_export.errors import DataError
from zsq_export.metrics.base import Metric, MetricBatch, MetricValue
from zsq_export.metrics.classification import RocAuc, Top1, Top5, roc_auc


def measured(metric: Metric, output: np.ndarray, labels: list[int], inputs: np.ndarray | None = None) -> MetricValue:
    """In two batches."""
    meter = metric.meter()
    inputs = output if inputs is None else inputs
    for rows in (slice(0, 3), slice(3, None)):
        batch = MetricBatch(inputs={"x": inputs[rows]}, targets=np.array(labels[rows]), reference={"y": output[rows]})
        meter.add({"y": output[rows]}, batch)
    return meter.result()


def test_top1_and_top5_are_shares_of_the_samples() -> None:
    scores = np.tile(np.arange(10, dtype=np.float32), (5, 1))
    assert measured(Top1(), scores, [9, 9, 8, 0, 9]).value == 60
    assert measured(Top5(), scores, [9, 5, 4, 0, 6]).value == 60
    assert Top5().name == "top5" and Top1().configured({"output": "y"}).settings.output == "y"


def test_a_score_that_is_no_number_is_wrong() -> None:
    scores = np.full((5, 3), np.nan, np.float32)
    assert measured(Top1(), scores, [0, 1, 2, 0, 1]).value == 0


def test_a_class_that_the_model_does_not_have_is_an_error() -> None:
    with pytest.raises(DataError, match="class index 3"):
        measured(Top1(), np.zeros((5, 3), np.float32), [0, 1, 3, 0, 0])
    with pytest.raises(DataError, match="class scores"):
        measured(Top1(), np.zeros((5, 3, 3), np.float32), [0, 1, 2, 0, 0])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    if labels.all() or not labels.any():
        with pytest.raises(DataError, match="only one of them"):
            roc_auc(scores.astype(np.float64), labels.astype(np.int64))
    else:
        found = roc_auc(scores.astype(np.float64), labels.astype(np.int64))
        assert found == pytest.approx(roc_auc_score(labels, scores))


def test_an_autoencoder_is_judged_by_its_error_and_a_score_by_itself() -> None:
    inputs = np.zeros((4, 8), np.float32)
    output = np.float32([0.1, 0.9, 0.2, 0.8])[:, None] * np.ones((1, 8), np.float32)
    assert measured(RocAuc(), output, [0, 1, 0, 1], inputs).value == 1
    assert measured(RocAuc(), output[:, :1], [1, 0, 1, 0], inputs).value == 0
    two = np.float32([[5, 1], [0, 1], [4, 1], [0, 2]])
    assert measured(RocAuc(), two, [0, 1, 0, 1], inputs).value == 1
    turned = RocAuc().configured({"score": "output", "higher_is_positive": False})
    assert measured(turned, output[:, :1], [1, 0, 1, 0], inputs).value == 1


def test_what_cannot_be_a_score_is_an_error() -> None:
    with pytest.raises(DataError, match="gives back no input"):
        measured(RocAuc(), np.zeros((4, 5), np.float32), [0, 1, 0, 1], np.zeros((4, 8), np.float32))
    with pytest.raises(DataError, match="NaN"):
        measured(RocAuc(), np.float32([[np.nan], [0], [1], [2]]), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"spec.score is 'loudness', expected one of auto, output"):
        RocAuc().configured({"score": "loudness"})
