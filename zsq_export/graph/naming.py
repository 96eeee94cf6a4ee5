"""Names that are unique and stay the same from run to run."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx_ir as ir

from zsq_export.graph.reading import graph_protos


class NameAllocator:
    """Hands out tensor or node names that the model does not use yet."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    @classmethod
    def for_values(cls, model: ir.Model) -> NameAllocator:
        """Names of tensors, subgraphs included."""
        names: list[str] = []
        for graph in model.graphs():
            values = (*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs))
            names.extend(value.name for value in values if value.name)
        return cls(names)

    @classmethod
    def for_nodes(cls, model: ir.Model) -> NameAllocator:
        """Names of nodes, subgraphs included."""
        return cls(node.name for node in ir.traversal.RecursiveGraphIterator(model.graph) if node.name)

    def new(self, wanted: str) -> str:
        """``wanted`` if it is free, else the first free of ``wanted_1``, ``wanted_2``, ..."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def name_proto_nodes(proto: onnx.ModelProto) -> None:
    """Gives every unnamed node the name ``<op>_<first output>`` and makes repeated names unique, in place.

    Tensor names identify a node better than a running number: an unrelated change elsewhere leaves them alone.
    """
    given = {node.name for graph in graph_protos(proto.graph) for node in graph.node if node.name}
    spare = NameAllocator(given)
    seen: set[str] = set()
    for graph in graph_protos(proto.graph):
        for node in graph.node:
            if not node.name or node.name in seen:
                base = node.name or f"{node.op_type}_{next(iter(node.output), '')}"
                node.name = spare.new(base)
            seen.add(node.name)


def make_node_names_unique(model: ir.Model) -> None:
    """Renames nodes that an earlier step left unnamed or twice named, in place."""
    spare = NameAllocator.for_nodes(model)
    seen: set[str] = set()
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if not node.name or node.name in seen:
            node.name = spare.new(node.name or f"{node.op_type}_{node.outputs[0].name}")
        seen.add(node.name)
