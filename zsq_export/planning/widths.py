"""How many bits each weight and each activation gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from zsq_export.errors import UsageError
from zsq_export.graph.topology import constant_value, float_weight, is_op, producers
from zsq_export.planning.options import FLOAT_BITS, PlanOptions
from zsq_export.planning.table import PlacementTable
from zsq_export.quantization.dtypes import FULL_WIDTH, QuantSpec

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class Widths:
    """The widths of one model under one set of options; see :func:`choose_widths`.

    Attributes:
        weights: node -> bits of its weight; nodes without an entry keep the table's type.
        reads: node -> bits of the activation that it reads.
        activations: bits of every other activation; None: the table's type.
        outputs: bits of the graph's outputs, and of what lies behind the last weighted nodes.
        last: names of these tensors.
    """

    weights: Mapping[str, int] = field(default_factory=dict)
    reads: Mapping[str, int] = field(default_factory=dict)
    activations: int | None = None
    outputs: int | None = None
    last: frozenset[str] = frozenset()

    @property
    def float_activations(self) -> bool:
        """Whether no activation is quantized."""
        return self.activations == FLOAT_BITS

    def weight(self, node: ir.Node, spec: QuantSpec) -> QuantSpec:
        """The type of a node's weight."""
        return _resized(spec, self.weights.get(node.name or ""))

    def read(self, node: ir.Node, spec: QuantSpec) -> QuantSpec:
        """The type of an activation, as one reader wants it."""
        return _resized(spec, self.reads.get(node.name or "", self.activations))

    def written(self, value: ir.Value, spec: QuantSpec) -> QuantSpec:
        """The type of an activation, as the node that computes it wants it."""
        return _resized(spec, self.outputs if value.name in self.last else self.activations)


def _resized(spec: QuantSpec, width: int | None) -> QuantSpec:
    return spec if width is None or spec.width <= width else spec.with_width(width)


def choose_widths(model: ir.Model, table: PlacementTable, options: PlanOptions) -> Widths:
    """Spreads the chosen bits over the layers.

    1. Every weight gets ``weights_bits``, every activation ``activations_bits``.
    2. The weighted nodes that no other precedes (the first layers) or follows (the last ones) get ``edge_bits`` for
       their weights and for what they read, unless these are fewer; so do the graph's outputs, and what the last ones
       write: class scores that are only reshaped afterwards must not run into a narrow range.
    3. ``layer_bits`` decides for the nodes that it names.
    4. A tensor with several readers gets the most bits that any of them asks for.

    Raises:
        UsageError: the target does not run such a width, or a named node is no weighted one.
    """
    check_widths(table, options)
    if options.weights_bits is None and options.activations_bits is None and not options.layer_bits:
        return Widths()
    weighted = (node for node in model.graph if is_op(node, *_WEIGHTED) and float_weight(node) is not None)
    nodes = {node.name or "": node for node in weighted}
    edges = _edges(model, nodes)
    weights, reads = {}, {}
    for name in nodes:
        least = options.edge_bits if name in edges else 0
        if options.weights_bits is not None:
            weights[name] = max(options.weights_bits, least)
        if options.activations_bits is not None:
            reads[name] = max(options.activations_bits, least)
    for layer in options.layer_bits:
        if layer.node not in nodes:
            raise UsageError(f"bits are given for node {layer.node!r}, which is no weighted node of the model")
        weights[layer.node] = layer.weights
        if layer.activations is not None:
            reads[layer.node] = layer.activations
    bits = options.activations_bits
    return Widths(
        weights=weights,
        reads=reads,
        activations=bits,
        outputs=None if bits is None else max(bits, options.edge_bits),
        last=_behind_the_last(model, nodes),
    )


def check_widths(table: PlacementTable, options: PlanOptions) -> None:
    """Refuses bits that the target does not run.

    Raises:
        UsageError: names the kind of tensor and the widths that there are.
    """
    weights = {options.weights_bits, *(layer.weights for layer in options.layer_bits)} - {None, FULL_WIDTH}
    activations = {options.activations_bits, *(layer.activations for layer in options.layer_bits)} - {None, FULL_WIDTH}
    for kind, asked, allowed in (("weights", weights, table.weight_widths),
                                 ("activations", activations, table.activation_widths)):  # fmt: skip
        refused = sorted(bits for bits in asked if bits is not None and bits not in allowed)
        if refused:
            what = "float" if refused[0] == FLOAT_BITS else f"{refused[0]}-bit"
            raise UsageError(
                f"target {table.target} runs no {what} {kind}",
                hint=f"it takes {', '.join(map(str, sorted(allowed)))}; `--target onnxruntime` takes them all",
            )


def _edges(model: ir.Model, weighted: Mapping[str, ir.Node]) -> set[str]:
    """Names of the weighted nodes that no other weighted node precedes, or that none follows."""
    behind: dict[ir.Node, bool] = {}
    followed: set[str] = set()
    sources: dict[ir.Node, set[str]] = {}
    for node in model.graph:
        before = producers(node)
        behind[node] = any(behind[p] or (p.name or "") in weighted for p in before if p in behind)
        nearest: set[str] = set()
        for producer in before:
            name = producer.name or ""
            nearest |= {name} if name in weighted else sources.get(producer, set())
        sources[node] = nearest
        if (node.name or "") in weighted:
            followed |= nearest
    first = {name for name, node in weighted.items() if not behind[node] and constant_value(node.inputs[0]) is None}
    return first | (set(weighted) - followed)


def _behind_the_last(model: ir.Model, weighted: Mapping[str, ir.Node]) -> frozenset[str]:
    """Names of the graph's outputs, and of the tensors that no weighted node reads directly or through others."""
    leading: set[ir.Node] = set()
    for node in reversed(list(model.graph)):
        readers = [reader for value in node.outputs for reader, _ in value.uses()]
        if any(reader in leading or (reader.name or "") in weighted for reader in readers):
            leading.add(node)
    values = [value for node in model.graph for value in node.outputs if value.name]
    return frozenset(
        str(value.name)
        for value in values
        if value.is_graph_output()
        or all(reader not in leading and (reader.name or "") not in weighted for reader, _ in value.uses())
    )
