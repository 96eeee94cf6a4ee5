"""Constants, fills, ranges and type conversion."""

from __future__ import annotations

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple


@operator("Constant")
def _constant(node: NodeView) -> Kernel:
    value = node.tensor("value")
    if value is None:
        value = _scalar_constant(node)
    return lambda: value


def _scalar_constant(node: NodeView) -> Tensor:
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        if name not in node.unread_attributes():
            continue
        if name == "value_float":
            return torch.tensor(node.real(name), dtype=torch.float32)
        if name == "value_int":
            return torch.tensor(node.integer(name), dtype=torch.int64)
        if name == "value_floats":
            return torch.tensor(node.floats(name), dtype=torch.float32)
        return torch.tensor(node.ints(name), dtype=torch.int64)
    raise node.unsupported("string and sparse constants are not implemented")


@operator("ConstantOfShape")
def _constant_of_shape(node: NodeView) -> Kernel:
    value, read = node.tensor("value"), node.ints_input(0)
    fill = torch.zeros(1) if value is None else value
    return lambda shape: fill.reshape(()).expand(read(shape) or []).clone()


@operator("EyeLike")
def _eye_like(node: NodeView) -> Kernel:
    offset, number = node.integer("k"), node.integer("dtype")
    dtype = node.dtype(number) if number else None

    def eye_like(x: Tensor) -> Tensor:
        return torch.ones_like(x, dtype=dtype or x.dtype).triu(offset).tril(offset)

    return eye_like


@operator("Range")
def _range(node: NodeView) -> Kernel:
    if node.unread_attributes():
        raise node.unsupported("attributes are not implemented")
    return lambda start, limit, delta: torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


@operator("Cast")
def _cast(node: NodeView) -> Kernel:
    # saturate and round_mode concern 8-bit floats only, which dtype() refuses.
    node.integer("saturate", 1)
    node.string("round_mode")
    dtype = node.dtype(node.integer("to"))
    return lambda x: x.to(dtype)


@operator("CastLike")
def _cast_like(node: NodeView) -> Kernel:
    node.integer("saturate", 1)
    node.string("round_mode")
    return lambda x, like: x.to(like.dtype)


simple("Det", torch.det)
