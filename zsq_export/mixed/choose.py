"""From a budget to the bits of every layer of one model for one target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zsq_export.graph.macs import node_macs
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import float_weight
from zsq_export.mixed.allocation import allocate
from zsq_export.mixed.sensitivity import sensitivities
from zsq_export.planning.options import Budget, LayerBits, PlanOptions
from zsq_export.planning.placement import place
from zsq_export.planning.table import PlacementTable

WIDTHS = (3, 4, 5, 6, 8)


def choose_layer_bits(
    prepared: PreparedModel,
    inputs: Mapping[str, NDArray[np.float32]],
    table: PlacementTable,
    options: PlanOptions,
    progress: Callable[[float], None] = lambda _done: None,
) -> PlanOptions:
    """The options with ``layer_bits`` for every weighted layer; as they are where no average is asked for.

    Args:
        prepared: its folded model is measured.
        inputs: synthetic ones.
        table: of the target.
        options: ``average_bits`` and ``budget``; bits given for single layers are kept and count.
        progress: called with the share done.

    Raises:
        PlanError: there are no inputs, or the budget is too small.
        UsageError: the target does not run such widths (when the plan is made).
    """
    if options.average_bits is None:
        return options
    model = prepared.folded
    weighted = {node.name or "": (node, rule) for node, rule in place(model, table).weighted}
    layers = {name: rule.weight.spec for name, (_, rule) in weighted.items() if rule.weight is not None}
    widths = tuple(width for width in WIDTHS if width in table.weight_widths) or (8,)
    costs = sensitivities(model, layers, widths, inputs, progress)
    macs = node_macs(model) if options.budget is Budget.MACS else {}
    units = {}
    for name, (node, _) in weighted.items():
        weight = float_weight(node)
        units[name] = macs.get(name, 1) if options.budget is Budget.MACS else (0 if weight is None else weight.size)
    bits = allocate(costs, units, widths, options.average_bits)
    given = {layer.node for layer in options.layer_bits}
    chosen = tuple(LayerBits(node=name, weights=width) for name, width in bits.items() if name not in given)
    return replace(options, layer_bits=(*options.layer_bits, *chosen))
