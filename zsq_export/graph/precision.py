"""Half and double precision models become float32 ones: integers are computed from float32 everywhere here."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

_HALF = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_TYPE_ATTRIBUTES = ("to", "dtype", "stash_type", "output_dtype")


def convert_to_float32(model: ir.Model) -> bool:
    """Makes float16 and bfloat16 (and, in a model with float64 inputs, float64) tensors float32, in place.

    Graph inputs and outputs change their type, too. Widening changes no value; results differ from the
    half-precision model only by what that one lost in rounding.

    Returns:
        Whether anything was converted.
    """
    double_inputs = any(value.dtype == ir.DataType.DOUBLE for value in model.graph.inputs)
    replaced = _HALF | ({ir.DataType.DOUBLE} if double_inputs else set())
    changed = False
    for graph in model.graphs():
        for value in (*graph.inputs, *graph.initializers.values()):
            changed |= _convert_value(value, replaced)
        for node in graph:
            for value in node.outputs:
                changed |= _convert_value(value, replaced)
            changed |= _convert_attributes(node, replaced)
    return changed


def _convert_value(value: ir.Value, replaced: frozenset[ir.DataType] | set[ir.DataType]) -> bool:
    if value.const_value is not None and value.const_value.dtype in replaced:
        value.const_value = _as_float32(value.const_value)
    if value.dtype not in replaced:
        return False
    value.dtype = ir.DataType.FLOAT
    return True


def _convert_attributes(node: ir.Node, replaced: frozenset[ir.DataType] | set[ir.DataType]) -> bool:
    changed = False
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype in replaced:
            node.attributes[name] = ir.AttrTensor(name, _as_float32(attribute.as_tensor()))
            changed = True
        elif name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.value in replaced:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
            changed = True
    return changed


def _as_float32(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy().astype(np.float32), name=tensor.name)
