"""Edits that every pass needs, done the one safe way."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.naming import NameAllocator


class Editor:
    """Edits one model's main graph; new tensors and nodes get names that are free."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.graph = model.graph
        self._values = NameAllocator.for_values(model)
        self._nodes = NameAllocator.for_nodes(model)
        self.modified = False

    def constant(self, array: NDArray[Any], name: str, dtype: ir.DataType | None = None) -> ir.Value:
        """A new initializer, called ``name`` if that is free."""
        name = self._values.new(name)
        tensor = ir.Tensor(np.asarray(array, order="C"), dtype=dtype, name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        self.graph.register_initializer(value)
        self.modified = True
        return value

    def node(
        self,
        op_type: str,
        inputs: list[ir.Value | None],
        *,
        like: ir.Value,
        value_name: str,
        node_name: str,
        attributes: dict[str, int | float | list[int] | str] | None = None,
    ) -> ir.Node:
        """A new node with one output of the type and shape of ``like``; not yet in the graph."""
        node = ir.node(op_type, inputs, attributes=attributes or {}, num_outputs=1, name=self._nodes.new(node_name))
        output = node.outputs[0]
        output.name = self._values.new(value_name)
        output.type, output.shape = like.type, like.shape
        self.modified = True
        return node

    def new_value_name(self, wanted: str) -> str:
        """Reserves a free tensor name."""
        return self._values.new(wanted)

    def set_input(self, node: ir.Node, index: int, value: ir.Value | None) -> None:
        """Connects an input slot, adding empty slots before it where needed; drops an initializer left unread."""
        if index >= len(node.inputs):
            node.resize_inputs(index + 1)
        old = node.inputs[index]
        node.replace_input_with(index, value)
        self.modified = True
        if old is not None:
            self.drop_if_unused(old)

    def take_over(self, node: ir.Node, replacement: ir.Value) -> None:
        """``replacement`` gets the name and all readers of the node's only output; the node goes.

        The replacement must be a node output that is no graph output itself.
        """
        output = node.outputs[0]
        name = output.name
        if replacement.type is None:
            replacement.type = output.type
        if output.shape is not None:
            replacement.shape = output.shape
        output.replace_all_uses_with(replacement, replace_graph_outputs=True)
        self.remove(node)
        replacement.name = name

    def bypass(self, node: ir.Node) -> bool:
        """Connects the readers of output 0 to input 0 and removes the node, if the graph's outputs keep their names.

        Returns:
            False where the node has to stay: it gives a graph output that must not be an input, a constant, another
            graph output or a tensor of another graph.
        """
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        if output.is_graph_output():
            producer = source.producer()
            if source.is_graph_output() or producer is None or producer.graph is not node.graph:
                return False
            self.take_over(node, source)
            return True
        output.replace_all_uses_with(source)
        self.remove(node)
        return True

    def remove(self, node: ir.Node) -> None:
        """Takes a node whose outputs nobody reads out of its graph, with the initializers that only it read."""
        inputs = [value for value in node.inputs if value is not None]
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        self.modified = True
        for value in inputs:
            self.drop_if_unused(value)

    def drop_if_unused(self, value: ir.Value) -> None:
        """Deletes an initializer that nobody reads."""
        if value.is_initializer() and not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            assert value.name is not None and value.graph is not None
            value.graph.initializers.pop(value.name, None)

    def result(self) -> ir.passes.PassResult:
        """What the pass returns."""
        return ir.passes.PassResult(self.model, self.modified)
