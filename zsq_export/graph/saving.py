"""Writing a model: one file, or a file and its weights where protobuf's 2 GB limit is near."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from zsq_export.errors import ModelError

PROTO_LIMIT = 2**31 - 2**27
"""Largest model in bytes that is written as one protobuf: 2 GiB less room for the graph itself."""


def serialize_model(model: ir.Model, *, limit: int = PROTO_LIMIT) -> bytes:
    """The model as the bytes of one self-contained .onnx file; the same model gives the same bytes.

    Raises:
        ModelError: the weights take more than ``limit`` bytes; use :func:`save_model`.
    """
    if weight_bytes(model) > limit:
        raise ModelError(
            f"the model's weights take {weight_bytes(model)} bytes, one ONNX protobuf holds at most {limit}",
            hint="save it to a file with external data instead",
        )
    return to_bytes(_embedded_proto(model))


def save_model(model: ir.Model, path: Path, *, limit: int = PROTO_LIMIT) -> tuple[str, ...]:
    """Writes the model; weights beyond ``limit`` bytes go to ``<path>.data`` beside it.

    Args:
        model: left unchanged.
        path: of the .onnx file.
        limit: in bytes.

    Returns:
        The names of the files written, the .onnx file first.
    """
    if weight_bytes(model) <= limit:
        path.write_bytes(serialize_model(model, limit=limit))
        return (path.name,)
    data = f"{path.name}.data"
    ir.save(model, path, format="protobuf", external_data=data)
    return path.name, data


def weight_bytes(model: ir.Model) -> int:
    """Size of all initializers in bytes."""
    tensors = (value.const_value for graph in model.graphs() for value in graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def to_bytes(proto: onnx.ModelProto) -> bytes:
    """Deterministic protobuf bytes."""
    return proto.SerializeToString(deterministic=True)


def _embedded_proto(model: ir.Model) -> onnx.ModelProto:
    values = [value for graph in model.graphs() for value in graph.initializers.values()]
    external = [value for value in values if isinstance(value.const_value, ir.ExternalTensor)]
    kept = [value.const_value for value in external]
    try:
        for value in external:
            assert value.const_value is not None
            value.const_value = ir.Tensor(value.const_value.numpy(), name=value.name)
        return ir.to_proto(model)
    finally:
        for value, tensor in zip(external, kept, strict=True):
            value.const_value = tensor
