"""Reading a model that is quantized already: to be judged, not to be converted."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from zsq_export.errors import ModelError
from zsq_export.graph.external import bring_into_memory, check_external_data
from zsq_export.graph.naming import name_proto_nodes
from zsq_export.graph.reading import read_proto

_MARKS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def is_quantized(proto: onnx.ModelProto) -> bool:
    """Whether the graph holds Q, DQ or an operator on integers."""
    return any(node.op_type in _MARKS or node.op_type.startswith("QLinear") for node in proto.graph.node)


def load_quantized(path: Path) -> ir.Model:
    """Reads a quantized model as it is: nothing is folded or converted, nodes keep their names.

    Raises:
        ModelError: the file is no ONNX model, or is broken.
    """
    proto = read_proto(path)
    check_external_data(proto, path.parent)
    name_proto_nodes(proto)
    try:
        model = ir.from_proto(proto)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} is broken: {error}", hint="export the model again") from error
    ir.external_data.set_base_dir(model.graph, path.parent.resolve())
    bring_into_memory(model)
    return model
