"""Ranges of class scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx_graphs import model, node, weights
from plans import prepared

from zsq_export.calib.base import CalibrationRequest
from zsq_export.calib.bn_inversion.evidence import EVIDENCE_MARGIN
from zsq_export.calib.gathering import Sure, gathered
from zsq_export.calib.score_margin import SURE_MARGIN, UNSURE_MARGIN, ScoreMargin, score_tensors
from zsq_export.calib.starting_point import StartingPoint
from zsq_export.calib.tails import TAIL_MARGIN, widen_tails
from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepared import PreparedModel

HEAD = [node("MatMul", ["x", "v"], "features"), node("MatMul", ["features", "w"], "plain")]
PARAMETERS = {"v": weights(4, 4), "w": weights(4, 3), "b": np.ones((1, 3), np.float32)}
BIASED = [*HEAD, node("Add", ["plain", "b"], "scores")]
PICTURE = StartingPoint(
    input_name="x",
    variable=np.ones((2, 4), np.float32),
    picture=None,
    preprocessing=None,
    value_range=None,
    notes=(),
)


def head(nodes: list[object], output: str, **changed: object) -> PreparedModel:
    return prepared(model(nodes, PARAMETERS, inputs={"x": ("N", 4)}, outputs=(output,), **changed))  # type: ignore[arg-type]


def test_the_last_weights_and_all_behind_them_give_scores() -> None:
    probabilities = [*BIASED, node("Softmax", ["scores"], "y")]
    assert score_tensors(head(probabilities, "y")) == {"plain", "scores", "y"}


def test_without_one_score_per_class_there_are_none() -> None:
    one = {**PARAMETERS, "w": weights(4, 1)}
    single = model(HEAD, one, inputs={"x": ("N", 4)}, outputs=("plain",))
    assert not score_tensors(prepared(single))
    rows = [*BIASED, node("Unsqueeze", ["scores", "axis"], "up"), node("Concat", ["up", "up"], "y", axis=1)]
    table = model(rows, {**PARAMETERS, "axis": np.array([1], np.int64)}, inputs={"x": ("N", 4)}, outputs=("y",))
    assert not score_tensors(prepared(table))


@pytest.mark.parametrize("sure", [False, True])
def test_only_their_upper_ends_move_further(sure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StartingPoint, "tail_margin", TAIL_MARGIN)
    built = head(BIASED, "scores")
    inputs = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    seen = collect_statistics(built.folded, {"x": inputs})
    behind = Sure(inputs=inputs, tensors=["scores"]) if sure else None
    found = gathered(built, CalibrationRequest(), [PICTURE], {"x": inputs}, calibrator="c", sure=behind).statistics
    above = (1 + EVIDENCE_MARGIN) * (1 + SURE_MARGIN) if sure else 1 + UNSURE_MARGIN
    below = (1 + EVIDENCE_MARGIN) * (1 + TAIL_MARGIN) if sure else 1 + TAIL_MARGIN
    assert found["scores"].maximum == pytest.approx(seen["scores"].maximum * above, rel=1e-5)
    assert found["scores"].minimum == pytest.approx(seen["scores"].minimum * below, rel=1e-5)
    assert found["features"].maximum == pytest.approx(seen["features"].maximum * (1 + TAIL_MARGIN), rel=1e-5)


def test_probabilities_stay_below_one_and_wider_margins_stay() -> None:
    built = head([*BIASED, node("Softmax", ["scores"], "y")], "y")
    inputs = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    seen = collect_statistics(built.folded, {"x": inputs})
    margin = ScoreMargin(tensors=score_tensors(built), margin=0.5)
    found = widen_tails(built, seen, {}, 1.0, margin)
    assert found["y"].maximum <= 1.0
    assert found["scores"].maximum == pytest.approx(2 * seen["scores"].maximum, rel=1e-5)
    assert replace(margin, margin=3.0).above("scores", 1.0) == 3.0
