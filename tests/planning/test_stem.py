"""A light first convolution stays float."""

from __future__ import annotations

from dataclasses import replace

import pytest
from onnx_graphs import model, node, weights
from plans import entry, plan, table, use

from zsq_export.planning.stem import light_stems
from zsq_export.planning.table import Scope, StemRule

RULE = StemRule(largest_share=0.02, reason="too light")


def network(width: int) -> object:
    """Two convolutions, the second of which does ``width / 3`` times the work of the first."""
    constants = {"w1": weights(width, 3, 3, 3), "w2": weights(width, width, 3, 3)}
    nodes = [node("Conv", ["x", "w1"], "c", name="first"), node("Conv", ["c", "w2"], "y", name="second")]
    return model(nodes, constants, inputs={"x": ("N", 3, 40, 40)})


@pytest.mark.parametrize(("width", "found"), [(8, {}), (256, {"first": "too light"})])
def test_only_a_small_share_stays_float(width: int, found: dict[str, str]) -> None:
    assert light_stems(network(width), RULE) == found


def test_without_the_rule_none_does() -> None:
    assert light_stems(network(256), None) == {}


def test_the_plan_quantizes_what_follows_and_says_why() -> None:
    made = plan(network(256), replace(table(Scope.INPUTS), float_stem=RULE))
    assert [item.tensor for item in made.tensors] == ["c", "w2"]
    assert entry(made, "c").uses == (use("second"),)
    assert [(op.node, op.reason) for op in made.float_ops] == [("first", "too light")]
