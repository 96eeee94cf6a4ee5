"""Which slots of which nodes read quantized tensors: the decisions of a plan that need no statistics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import onnx_ir as ir

from zsq_export.graph.topology import is_float, is_op, only_consumer
from zsq_export.planning.eligibility import bias_place, data_slots, has_weight_rule, row_or_reason
from zsq_export.planning.groups import DisjointSets
from zsq_export.planning.patterns import nodes_of
from zsq_export.planning.plan import FloatOp, Use
from zsq_export.planning.stem import light_stems
from zsq_export.planning.table import OpRule, PlacementTable, ScaleRule, Scope
from zsq_export.planning.widths import Widths
from zsq_export.quantization.dtypes import QuantSpec

_NOT_COMPUTED = frozenset({"Constant", "Identity", "Shape", "Size", "Cast", "ConstantOfShape", "Range"})


@dataclass(kw_only=True)
class Placement:
    """What :func:`place` decided.

    Attributes:
        readers: tensor -> the slots that read it quantized.
        specs: tensor -> integer type that its strictest reader asks for.
        produced: tensors quantized where they are computed: every reader gets the quantized value.
        carried: outputs of pass-through ops that lie on their input's grid already and get no Q/DQ of their own.
        scale_groups: tensors that must share one scale.
        weighted: nodes with a constant weight to quantize, with their row.
        float_ops: the other ops, with reasons.
    """

    readers: dict[str, dict[Use, None]] = field(default_factory=dict)
    specs: dict[str, QuantSpec] = field(default_factory=dict)
    produced: dict[str, None] = field(default_factory=dict)
    carried: set[str] = field(default_factory=set)
    scale_groups: DisjointSets = field(default_factory=DisjointSets)
    weighted: list[tuple[ir.Node, OpRule]] = field(default_factory=list)
    float_ops: list[FloatOp] = field(default_factory=list)


def place(model: ir.Model, table: PlacementTable, widths: Widths | None = None) -> Placement:
    """Decides for every node of the folded model what it reads and writes quantized.

    Rules:
        1. A node with a row in the table reads its activation slots quantized, unless an obstacle, a float pattern or
           the rule of light stems is in the way.
        2. An op that is computed inside the weighted op before it reads that slot in float.
        3. A pass-through op takes part if all readers of all its outputs read quantized; its tensors share a scale.
           A sandwiched op takes part on the same condition, and shares none.
        4. With outputs in scope, the Q/DQ comes after the fused activation; a pass-through op that reads only such
           tensors takes part, too.

    Readers are looked at before producers (reverse topological order), so that 3 needs one sweep.
    """
    return _Placer(table=table, model=model, widths=widths or Widths()).run()


@dataclass(kw_only=True)
class _Placer:
    table: PlacementTable
    model: ir.Model
    widths: Widths
    result: Placement = field(default_factory=Placement)
    rows: dict[ir.Node, OpRule] = field(default_factory=dict)
    reasons: dict[ir.Node, str] = field(default_factory=dict)
    biases: dict[ir.Node, ir.Node] = field(default_factory=dict)
    """MatMul -> the Add that adds its bias, which is no op of its own."""

    def run(self) -> Placement:
        nodes = [node for node in self.model.graph if any(is_float(value) for value in node.outputs)]
        self._match(nodes)
        for node in reversed(nodes):
            self._visit(node)
        for node in nodes:
            self._follow(node)
        self.result.weighted.reverse()
        self.result.float_ops.extend(
            FloatOp(node=node.name or "", op_type=node.op_type, reason=self.reasons[node])
            for node in nodes
            if node in self.reasons and node.op_type not in _NOT_COMPUTED and not self._is_fused(node)
        )
        return self.result

    def _match(self, nodes: list[ir.Node]) -> None:
        left = {name: reason for pattern, reason in self.table.float_patterns for name in nodes_of(pattern, self.model)}
        left |= light_stems(self.model, self.table.float_stem)
        for node in nodes:
            found = left.get(node.name or "") or row_or_reason(node, self.table)
            if isinstance(found, OpRule):
                self.rows[node] = found
            else:
                self.reasons[node] = found
        for node, rule in tuple(self.rows.items()):
            place = bias_place(node, rule) if has_weight_rule(node, rule) else None
            if place is not None and place[0] is not node:
                self.biases[node] = place[0]
                self.rows.pop(place[0], None)
                self.reasons.pop(place[0], None)

    def _visit(self, node: ir.Node) -> None:
        rule = self.rows.get(node)
        if rule is None or self._is_inside(node):
            return
        if rule.scale_rule in (ScaleRule.AGNOSTIC, ScaleRule.SANDWICHED):
            self._pass_through(node, rule)
            return
        spec = rule.activation or self.table.activation
        fused = self._fused_slot(node, rule)
        if rule.fuses_into and fused is None:
            self.reasons[node] = f"it is not computed inside a quantized {' or '.join(rule.fuses_into)} before it"
            return
        for slot in data_slots(node, rule) if rule.scope is not Scope.WEIGHT else ():
            if slot != fused and _is_behind(node.inputs[slot], rule.only_behind):
                self._read(node, slot, spec)
        if has_weight_rule(node, rule):
            self._weigh(node, rule)
        if rule.scope is Scope.INPUTS_AND_OUTPUT:
            for value in self._written_values(node, rule):
                self._write(value, spec, rule)
        if rule.scale_rule is ScaleRule.ONE_SCALE:
            self.result.scale_groups.unite(self._tensors(node, rule))

    def _weigh(self, node: ir.Node, rule: OpRule) -> None:
        assert rule.weight is not None
        weight = replace(rule.weight, spec=self.widths.weight(node, rule.weight.spec))
        self.result.weighted.append((node, replace(rule, weight=weight)))

    def _pass_through(self, node: ir.Node, rule: OpRule) -> None:
        outputs = [value for value in node.outputs if is_float(value) and tuple(value.uses())]
        if not outputs or not all(self._read_by_all(value) for value in outputs):
            self.reasons[node] = "not everything that is computed from it reads integers"
            return
        specs = [self.result.specs[value.name or ""] for value in outputs]
        if rule.scale_rule is ScaleRule.SANDWICHED:
            for slot in data_slots(node, rule):
                self._read(node, slot, rule.activation or self.table.activation)
            return
        self._join(node, rule, strictest(specs))

    def _join(self, node: ir.Node, rule: OpRule, spec: QuantSpec) -> None:
        for slot in data_slots(node, rule):
            self._read(node, slot, spec)
        self.result.scale_groups.unite(self._tensors(node, rule))
        for value in node.outputs:
            if rule.scope is Scope.INPUTS_AND_OUTPUT:
                self._write(value, spec, rule)
            else:
                self.result.carried.add(value.name or "")

    def _follow(self, node: ir.Node) -> None:
        """Rule 4, second half: integers in, so integers out."""
        rule = self.rows.get(node)
        if rule is None or node not in self.reasons or rule.scope is not Scope.INPUTS_AND_OUTPUT:
            return
        names = [node.inputs[slot].name or "" for slot in data_slots(node, rule)]  # type: ignore[union-attr]
        if len(names) == 1 and names[0] in self.result.produced and not node.outputs[0].is_graph_output():
            del self.reasons[node]
            self._join(node, rule, self.result.specs[names[0]])

    def _read(self, node: ir.Node, slot: int, spec: QuantSpec) -> None:
        value = node.inputs[slot]
        if self.widths.float_activations:
            return
        name = value.name or "" if value is not None else ""
        self.result.readers.setdefault(name, {})[Use(node=node.name or "", input_index=slot)] = None
        self._ask(name, self.widths.read(node, spec))

    def _write(self, value: ir.Value, spec: QuantSpec, rule: OpRule) -> None:
        kept = self.widths.float_activations or (rule.float_result and value.is_graph_output())
        if is_float(value) and not kept:
            self.result.produced[value.name or ""] = None
            self._ask(value.name or "", self.widths.written(value, spec))

    def _ask(self, name: str, spec: QuantSpec) -> None:
        known = self.result.specs.get(name)
        self.result.specs[name] = spec if known is None else strictest([known, spec])

    def _read_by_all(self, value: ir.Value) -> bool:
        readers = self.result.readers.get(value.name or "", {})
        uses = (Use(node=node.name or "", input_index=index) for node, index in value.uses())
        return not value.is_graph_output() and all(use in readers for use in uses)

    def _tensors(self, node: ir.Node, rule: OpRule) -> list[str]:
        inputs = (node.inputs[slot] for slot in data_slots(node, rule))
        return [value.name or "" for value in (*inputs, *node.outputs) if is_float(value) and value is not None]

    def _written_values(self, node: ir.Node, rule: OpRule) -> list[ir.Value]:
        """The results: behind bias and fused activation where they are computed inside."""
        if rule.scale_rule is ScaleRule.ONE_SCALE or not rule.fuses_activation:
            return [value for value in node.outputs if tuple(value.uses()) or value.is_graph_output()]
        return [self._after_fused_activation(self.biases.get(node, node))]

    def _is_inside(self, node: ir.Node) -> bool:
        """Whether the node is an activation that a quantized op before it computes, whatever its own row says."""
        value = node.inputs[0] if node.inputs else None
        if value is None or not is_op(node, *self.table.fused_activations) or only_consumer(value) is not node:
            return False
        producer = value.producer()
        producer = next((first for first, adding in self.biases.items() if adding is producer), producer)
        rule = self.rows.get(producer) if producer is not None else None
        if producer is None or rule is None or self._is_inside(producer):
            return rule is not None
        return rule.scale_rule is ScaleRule.FREE and rule.fuses_activation and rule.scope is Scope.INPUTS_AND_OUTPUT

    def _after_fused_activation(self, node: ir.Node) -> ir.Value:
        value = node.outputs[0]
        while is_op(reader := only_consumer(value), *self.table.fused_activations) and reader is not None:
            value = reader.outputs[0]
        return value

    def _is_fused(self, node: ir.Node) -> bool:
        """Whether the node is computed inside the quantized op before it, and so is not worth a line as float."""
        value = node.inputs[0] if node.inputs else None
        if value is None or not is_op(node, *self.table.fused_activations) or only_consumer(value) is not node:
            return False
        producer = value.producer()
        return producer is not None and (producer not in self.reasons or self._is_fused(producer))

    def _fused_slot(self, node: ir.Node, rule: OpRule) -> int | None:
        """The slot that only an op it fuses into feeds; that of the later op where there are two."""
        order = {other: index for index, other in enumerate(self.rows)}
        found = [
            (order[producer], slot)
            for slot, value in enumerate(node.inputs)
            if value is not None and only_consumer(value) is node
            if is_op(producer := value.producer(), *rule.fuses_into) and producer is not None and producer in order
        ]
        return max(found)[1] if found else None


def strictest(specs: list[QuantSpec]) -> QuantSpec:
    """The specification that serves all readers: a symmetric one if any of them needs symmetry, as wide as any."""
    kind = next((spec for spec in specs if spec.symmetric), specs[0])
    return kind.with_width(max(spec.width for spec in specs))


def _is_behind(value: ir.Value | None, op_types: tuple[str, ...]) -> bool:
    """Whether one of these ops computed the value; True where none is named."""
    return not op_types or (value is not None and is_op(value.producer(), *op_types))
