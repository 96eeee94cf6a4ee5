"""Reading an ONNX file into a checked model at one operator set."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from zsq_export.errors import ModelError
from zsq_export.graph.checks import (
    check_inputs,
    check_names,
    check_not_quantized,
    check_operators,
    check_weights,
    sort_nodes,
)
from zsq_export.graph.dimensions import forget_unknown_sides
from zsq_export.graph.external import bring_into_memory, check_external_data
from zsq_export.graph.naming import make_node_names_unique, name_proto_nodes
from zsq_export.graph.opset import check_opset, upgrade_opset
from zsq_export.graph.precision import convert_to_float32
from zsq_export.graph.reading import read_proto
from zsq_export.graph.shapes import infer_shapes


def load_model(path: Path) -> ir.Model:
    """Reads, checks and unifies a model.

    External data is resolved (kept memory-mapped beyond 1 GB), functions are inlined, initializers are no inputs,
    half precision is widened to float32, the operator set is at least 17, shapes are inferred, nodes have unique
    names that stay the same from run to run.

    Args:
        path: the .onnx file.

    Raises:
        ModelError: the file is no ONNX model, is broken, or is no float model; the message names the node, tensor
            or file.
        UnsupportedOpError: an operator outside the ONNX standard.
    """
    proto = read_proto(path)
    check_external_data(proto, path.parent)
    check_names(proto.graph)
    forget_unknown_sides(proto)
    name_proto_nodes(proto)
    model = _deserialize(path, proto)
    bring_into_memory(model)
    _inline_functions(model)
    sort_nodes(model)
    check_not_quantized(model)
    _unify(model)
    return model


def _unify(model: ir.Model) -> None:
    common.RemoveInitializersFromInputsPass()(model)
    check_inputs(model)
    check_opset(model)
    check_operators(model)
    _drop_unused_training_outputs(model)
    upgrade_opset(model)
    convert_to_float32(model)
    check_weights(model)
    infer_shapes(model)
    make_node_names_unique(model)


def _deserialize(path: Path, proto: onnx.ModelProto) -> ir.Model:
    try:
        model = ir.from_proto(proto)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} is broken: {error}", hint="export the model again") from error
    ir.external_data.set_base_dir(model.graph, path.parent.resolve())
    return model


def _inline_functions(model: ir.Model) -> None:
    if model.functions:
        common.InlinePass()(model)
    common.RemoveUnusedOpsetsPass()(model)


def _drop_unused_training_outputs(model: ir.Model) -> None:
    """BatchNormalization before opset 14 may list four statistics outputs, which the version converter refuses."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "BatchNormalization" and not any(value.uses() for value in node.outputs[1:]):
            node.resize_outputs(1)
