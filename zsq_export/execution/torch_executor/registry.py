"""The table of operator implementations, and what an implementation sees of its node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor

from zsq_export.errors import UnsupportedOpError
from zsq_export.execution.torch_executor.dtypes import TORCH_DTYPES, to_torch

Kernel = Callable[..., Any]
"""Input tensors (None where an optional one is absent) -> one tensor, or a tuple for several outputs."""

IntsReader = Callable[[Tensor | None], list[int] | None]


class NodeView:
    """A node as its implementation sees it while it is bound: attributes, and the inputs that are constant.

    Attributes that no implementation asked for are reported by ``unread_attributes``, so that an attribute which is
    not implemented can never be silently ignored. ``host_inputs`` are the shape-like ones, which stay on the CPU.
    """

    def __init__(self, node: ir.Node, opset: int, constants: Sequence[Tensor | None]) -> None:
        self.name = node.name or (node.outputs[0].name if node.outputs else None) or "?"
        self.op_type = node.op_type
        self.opset = opset
        self.present = tuple(value is not None for value in node.inputs)
        self.output_count = len(node.outputs)
        self.host_inputs: set[int] = set()
        self._constants = constants
        self._attributes = dict(node.attributes)
        self._unread = set(self._attributes)

    def unsupported(self, reason: str) -> UnsupportedOpError:
        """The error for a construct that the implementation lacks."""
        return UnsupportedOpError(
            f"{self.op_type} node '{self.name}': {reason}", hint="the PyTorch executor cannot run this model"
        )

    def unread_attributes(self) -> set[str]:
        """Names of attributes nobody asked for yet."""
        return self._unread

    def has(self, index: int) -> bool:
        """Whether the optional input is given."""
        return index < len(self.present) and self.present[index]

    def constant(self, index: int) -> Tensor | None:
        """The input's value if it is known now, else None."""
        return self._constants[index] if index < len(self._constants) else None

    def _attribute(self, name: str) -> ir.Attr | None:
        self._unread.discard(name)
        attribute = self._attributes.get(name)
        if attribute is not None and attribute.is_ref():
            raise self.unsupported(f"attribute '{name}' refers to a function attribute")
        return attribute

    def integer(self, name: str, default: int = 0) -> int:
        """An integer attribute."""
        attribute = self._attribute(name)
        return default if attribute is None else attribute.as_int()

    def real(self, name: str, default: float = 0.0) -> float:
        """A float attribute."""
        attribute = self._attribute(name)
        return default if attribute is None else attribute.as_float()

    def string(self, name: str, default: str = "") -> str:
        """A string attribute."""
        attribute = self._attribute(name)
        return default if attribute is None else attribute.as_string()

    def ints(self, name: str) -> list[int] | None:
        """An integer list attribute; None if absent."""
        attribute = self._attribute(name)
        return None if attribute is None else list(attribute.as_ints())

    def floats(self, name: str) -> list[float] | None:
        """A float list attribute; None if absent."""
        attribute = self._attribute(name)
        return None if attribute is None else list(attribute.as_floats())

    def tensor(self, name: str) -> Tensor | None:
        """A tensor attribute; None if absent.

        Raises:
            UnsupportedOpError: its element type is not implemented.
        """
        attribute = self._attribute(name)
        if attribute is None:
            return None
        value = attribute.as_tensor()
        if value.dtype not in TORCH_DTYPES:
            raise self.unsupported(f"element type {value.dtype.name} is not implemented")
        return to_torch(value)

    def dtype(self, number: int) -> torch.dtype:
        """The torch dtype of an ONNX element type number.

        Raises:
            UnsupportedOpError: it is not implemented.
        """
        element = ir.DataType(number)
        if element not in TORCH_DTYPES:
            raise self.unsupported(f"element type {element.name} is not implemented")
        return TORCH_DTYPES[element]

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """A string attribute that must be one of ``allowed``.

        Raises:
            UnsupportedOpError: another value.
        """
        value = self.string(name, default)
        if value not in allowed:
            raise self.unsupported(f"{name}='{value}' is not implemented")
        return value

    def ints_input(self, index: int) -> IntsReader:
        """A reader of a shape-like input: read once if it is constant, on each call otherwise."""
        self.host_inputs.add(index)
        constant = self.constant(index)
        if constant is not None:
            fixed: list[int] = constant.reshape(-1).tolist()
            return lambda _value: fixed
        return _read_ints

    def ints_attribute_or_input(self, name: str, index: int) -> IntsReader:
        """A reader of what older opsets keep in an attribute and newer ones in an input."""
        attribute = self.ints(name)
        if attribute is not None:
            return lambda _value: attribute
        return self.ints_input(index)


def _read_ints(value: Tensor | None) -> list[int] | None:
    return None if value is None else value.reshape(-1).tolist()


Binder = Callable[[NodeView], Kernel]
_BINDERS: dict[str, Binder] = {}
_OUTPUTS: dict[str, int] = {}


def operator(*names: str, outputs: int = 1) -> Callable[[Binder], Binder]:
    """Registers a binder (node -> kernel) for operators of the standard domain.

    Args:
        names: operator types.
        outputs: how many outputs the kernel can make.
    """

    def register(binder: Binder) -> Binder:
        for name in names:
            if name in _BINDERS:
                raise ValueError(f"{name} is registered twice")
            _BINDERS[name] = binder
            _OUTPUTS[name] = outputs
        return binder

    return register


def simple(name: str, kernel: Kernel) -> None:
    """Registers an operator that has no attributes."""
    operator(name)(lambda _node: kernel)


def registered() -> frozenset[str]:
    """Operator types with an implementation."""
    return frozenset(_BINDERS)


def bind(node: NodeView) -> Kernel:
    """Makes the kernel of one node.

    Raises:
        UnsupportedOpError: no implementation, or an attribute or output it does not know.
    """
    binder = _BINDERS.get(node.op_type)
    if binder is None:
        raise node.unsupported("the operator is not implemented")
    if node.output_count > _OUTPUTS[node.op_type]:
        raise node.unsupported(f"only {_OUTPUTS[node.op_type]} of its {node.output_count} outputs is implemented")
    kernel = binder(node)
    if node.unread_attributes():
        raise node.unsupported(f"attribute {', '.join(sorted(node.unread_attributes()))} is not implemented")
    return kernel
