"""What calibrators hand back of the inputs that they made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx_graphs import model, node, weights
from plans import prepared

from zsq_export.calib.base import CalibrationRequest
from zsq_export.calib.bn_inversion.evidence import EVIDENCE_MARGIN
from zsq_export.calib.gathering import Sure, gathered
from zsq_export.calib.starting_point import StartingPoint
from zsq_export.calib.tails import FIELD_TAIL_MARGIN, TAIL_MARGIN
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import Preprocessing

REQUEST = CalibrationRequest(seed=5)
PICTURES = Preprocessing(mean=(0.5,), std=(0.5,))


@pytest.fixture
def head() -> PreparedModel:
    nodes = [node("MatMul", ["x", "w"], "h"), node("Add", ["h", "h"], "y")]
    return prepared(model(nodes, {"w": weights(4, 3)}, inputs={"x": ("N", 4)}))


def start(**changed: object) -> StartingPoint:
    plain = StartingPoint(
        input_name="x",
        variable=np.ones((2, 4), np.float32),
        picture=None,
        preprocessing=None,
        value_range=(-9.0, 7.0),
        notes=("a note",),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def test_tails_are_widened_by_the_margin_of_where_the_inputs_began(head: PreparedModel) -> None:
    inputs = {"x": np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)}
    found = gathered(
        head, REQUEST, [start()], inputs, calibrator="mine", settings=[("steps", "3")], losses=[("l", 1.5)]
    )
    seen = inputs["x"] @ weights(4, 3)
    assert found.statistics["h"].maximum == pytest.approx(seen.max() * (1 + FIELD_TAIL_MARGIN), rel=1e-5)
    assert (found.statistics["x"].minimum, found.statistics["x"].maximum) == (-9.0, 7.0)
    told = found.provenance
    assert (told.calibrator, told.seed, told.samples, told.notes) == ("mine", 5, 8, ("a note",))
    assert told.settings == (("steps", "3"), ("tail margin", f"{FIELD_TAIL_MARGIN:g}"))
    assert told.final_losses == (("l", 1.5),)
    assert found.inputs is inputs and found.preprocessing is None


def test_the_widest_margin_and_the_first_convention_of_several_inputs_count(head: PreparedModel) -> None:
    assert TAIL_MARGIN < FIELD_TAIL_MARGIN
    starts = [start(notes=("one",)), start(input_name="other", preprocessing=PICTURES, notes=("two",))]
    found = gathered(head, REQUEST, starts, {"x": np.ones((2, 4), np.float32)}, calibrator="mine")
    assert found.provenance.settings == (("tail margin", f"{FIELD_TAIL_MARGIN:g}"),)
    assert found.preprocessing == PICTURES
    assert found.provenance.notes == ("one", "two")


def test_sure_inputs_count_for_the_extremes_of_their_tensors_only(head: PreparedModel) -> None:
    usual, sure = (np.full((2, 4), level, np.float32) for level in (1.0, 3.0))
    behind = Sure(inputs=sure, tensors=["y", "nowhere"])
    plain = gathered(head, REQUEST, [start()], {"x": usual}, calibrator="mine").statistics
    found = gathered(head, REQUEST, [start()], {"x": usual}, calibrator="mine", sure=behind).statistics
    assert found["h"].maximum == plain["h"].maximum
    assert found["y"].maximum == pytest.approx(3 * (1 + EVIDENCE_MARGIN) * plain["y"].maximum, rel=1e-5)
