"""Dimensions that exporters write as a number or a name although they mean "unknown"."""

from __future__ import annotations

import onnx

from zsq_export.graph.reading import graph_protos

_UNKNOWN_NAMES = frozenset({"?", "-1", "None"})


def forget_unknown_sides(proto: onnx.ModelProto) -> None:
    """Leaves open, without a name, what older exporters of Paddle, Keras and MXNet write as -1 or "?"; in place.

    A number below zero would be taken for a size, and two axes that are both called "?" for equally long.
    """
    for graph in graph_protos(proto.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for side in value.type.tensor_type.shape.dim:
                if side.dim_value < 0 or side.dim_param in _UNKNOWN_NAMES:
                    side.Clear()
