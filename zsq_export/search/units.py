"""What can be left in float one by one: a quantized node with all that is computed inside it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from zsq_export.graph.macs import node_macs
from zsq_export.graph.topology import node_by_name, only_consumer, static_shape, value_by_name
from zsq_export.planning.eligibility import added_bias
from zsq_export.planning.plan import FloatOp, Plan, Role, TensorPlan
from zsq_export.planning.table import PlacementTable, Scope


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Nodes that stay float together.

    Attributes:
        name: of the node that the others are computed in.
        op_type: of that node.
        nodes: all names, in graph order.
        macs: multiply-accumulates of one sample.
        elements: of its results, one sample.
    """

    name: str
    op_type: str
    nodes: tuple[str, ...]
    macs: int
    elements: int


class Units:
    """The units of a plan, and which of its tensors go when some of them are left in float.

    Args:
        plan: with everything quantized that the target wants.
        model: the folded float model.
        table: of the target.
    """

    def __init__(self, plan: Plan, model: ir.Model, table: PlacementTable) -> None:
        self.plan = plan
        self._nodes, self._values = node_by_name(model), value_by_name(model)
        self._table = table
        self._unit_of = self._fused(model)
        self.units = self._collect(model)
        self._needed = tuple(self._need(item) for item in plan.tensors)

    def needed(self, index: int) -> frozenset[str]:
        """Units that have to be left in float, all of them, for one tensor of the plan to go."""
        return self._needed[index]

    def alive(self, left: Collection[str]) -> list[int]:
        """Positions of the plan's tensors that are still quantized with these units in float."""
        chosen = frozenset(left)
        return [index for index, needed in enumerate(self._needed) if not needed <= chosen]

    def without(self, left: Collection[str], reason: str) -> Plan:
        """The plan with these units in float; what they read of integer ops is still quantized where it has to be."""
        nodes = {name for unit in left for name in self.units[unit].nodes}
        kept = [self._kept(item, nodes) for item in self.plan.tensors]
        known = {op.node for op in self.plan.float_ops}
        added = [
            FloatOp(node=name, op_type=self._nodes[name].op_type, reason=reason)
            for name in self._nodes if name in nodes and name not in known
        ]  # fmt: skip
        return replace(
            self.plan,
            tensors=tuple(item for item in kept if item.uses or item.as_output),
            float_ops=(*self.plan.float_ops, *added),
            bias_corrections=tuple(item for item in self.plan.bias_corrections if item.node not in nodes),
        )

    def _kept(self, item: TensorPlan, nodes: set[str]) -> TensorPlan:
        """An integer op writes integers, whoever reads them; what a float op gives is rounded where it is read."""
        producer = self._values[item.tensor].producer()
        computed_in_float = producer is None or (producer.name or "") in nodes
        if not computed_in_float and self._writes_integers(producer):
            return item
        uses = tuple(use for use in item.uses if use.node not in nodes)
        return replace(item, uses=uses, as_output=item.as_output and not computed_in_float)

    def _need(self, item: TensorPlan) -> frozenset[str]:
        readers = {self._unit_of.get(use.node, use.node) for use in item.uses}
        producer = self._values[item.tensor].producer()
        written = item.role is Role.ACTIVATION and (item.as_output or self._writes_integers(producer))
        if written and producer is not None:
            readers.add(self._unit_of.get(producer.name or "", producer.name or ""))
        return frozenset(readers & self.units.keys())

    def _writes_integers(self, producer: ir.Node | None) -> bool:
        """Whether the target's op gives integers, so that its result is quantized for every reader."""
        if producer is None or self._unit_of.get(producer.name or "") not in self.units:
            return False
        first = self._nodes[self._unit_of[producer.name or ""]]
        rule = self._table.rule(first.op_type)
        return rule is not None and rule.scope is Scope.INPUTS_AND_OUTPUT

    def _fused(self, model: ir.Model) -> dict[str, str]:
        """Node -> the node that it is computed in: fused activations, and the Add of a bias."""
        inside: dict[str, str] = {}
        for node in model.graph:
            name = node.name or ""
            inside.setdefault(name, name)
            if self._table.rule(node.op_type) is None:
                continue
            last: ir.Node = node
            bias = added_bias(node)
            if bias is not None and bias[0].name is not None:
                last = bias[0]
                inside[bias[0].name] = inside[name]
            following = only_consumer(last.outputs[0]) if len(last.outputs) == 1 else None
            while following is not None and following.op_type in self._table.fused_activations:
                inside[following.name or ""] = inside[name]
                following = only_consumer(following.outputs[0])
        return inside

    def _collect(self, model: ir.Model) -> dict[str, Unit]:
        """Units that read or write something quantized, in graph order."""
        macs = node_macs(model)
        touched = {use.node for item in self.plan.tensors for use in item.uses}
        for item in self.plan.tensors:
            producer = self._values[item.tensor].producer()
            if item.as_output and producer is not None:
                touched.add(producer.name or "")
        firsts = {self._unit_of.get(name, name) for name in touched}
        members: dict[str, list[str]] = {}
        for node in model.graph:
            members.setdefault(self._unit_of[node.name or ""], []).append(node.name or "")
        return {
            first: Unit(
                name=first,
                op_type=self._nodes[first].op_type,
                nodes=tuple(nodes),
                macs=sum(macs.get(name, 0) for name in nodes),
                elements=sum(_elements(value) for value in self._nodes[nodes[-1]].outputs),
            )
            for first, nodes in members.items() if first in firsts
        }  # fmt: skip


def _elements(value: ir.Value) -> int:
    """Of one sample; open axes count as 1."""
    shape = static_shape(value)
    return math.prod(side or 1 for side in shape[1:]) if shape else 1


def order_of_gain(
    units: Units, noise: Mapping[int, float], costs: Mapping[str, float], start: Collection[str] = ()
) -> list[frozenset[str]]:
    """Growing sets of units to leave in float, each taking away the most noise for the time that it costs.

    Greedy over the tensors of the plan: the next step is the one tensor whose units together, with every other tensor
    that goes with them, give the best ratio.

    Args:
        units: of the plan.
        noise: position of a tensor in the plan -> power of the output error that quantizing it causes alone. Errors of
            several are taken to add up, as those of independent rounding do.
        costs: unit -> seconds that it takes longer in float.
        start: units that are in float already.

    Returns:
        From ``start`` to all units; the noise left never grows.
    """
    left = frozenset(start)
    order = [left]
    alive = {index for index in units.alive(left) if noise.get(index, 0.0) > 0}
    touching: dict[str, set[int]] = {}
    for index in alive:
        for unit in units.needed(index):
            touching.setdefault(unit, set()).add(index)
    while alive:
        best = max(sorted(alive), key=lambda index: _ratio(units, noise, costs, left, alive, touching, index))
        left = left | units.needed(best)
        alive = {index for index in alive if not units.needed(index) <= left}
        order.append(left)
    everything = frozenset(units.units)
    return order if order[-1] == everything else [*order, everything]


def _ratio(
    units: Units,
    noise: Mapping[int, float],
    costs: Mapping[str, float],
    left: frozenset[str],
    alive: set[int],
    touching: Mapping[str, set[int]],
    index: int,
) -> float:
    move = units.needed(index) - left
    together = left | move
    affected = set().union(*(touching[unit] for unit in move)) & alive
    gain = sum(noise[other] for other in affected if units.needed(other) <= together)
    return gain / max(sum(costs.get(unit, 0.0) for unit in move), 1e-9)


def noise_left(units: Units, noise: Mapping[int, float], left: Collection[str]) -> float:
    """Sum over the tensors that are still quantized."""
    return sum(noise.get(index, 0.0) for index in units.alive(left))
