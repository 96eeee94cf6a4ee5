"""What evidence inputs add to the ranges."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_graphs import model, node, weights
from plans import prepared

from zsq_export.calib.bn_inversion.evidence import EVIDENCE_MARGIN, with_extremes
from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepared import PreparedModel


@pytest.fixture
def head() -> PreparedModel:
    nodes = [node("Relu", ["x"], "r"), node("MatMul", ["r", "w"], "y")]
    return prepared(model(nodes, {"w": weights(4, 3)}, inputs={"x": ("N", 4)}))


def test_their_extremes_count_with_a_margin_and_only_where_they_are_given(head: PreparedModel) -> None:
    usual, sure = (np.full((2, 4), level, np.float32) for level in (1.0, 3.0))
    statistics = collect_statistics(head.folded, {"x": usual})
    evidence = collect_statistics(head.folded, {"x": sure}, tensors=["r"])
    joined = with_extremes(head, statistics, evidence)
    assert joined["r"].maximum == pytest.approx(3.0 * (1 + EVIDENCE_MARGIN))
    assert joined["r"].minimum == 1.0
    assert joined["y"] == statistics["y"]
