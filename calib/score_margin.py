"""Class scores reach further on real inputs than on any that were made, so their ranges end higher up.

A procedural picture belongs to no class, and one that was driven to a class was left alone once the network was sure
of it: the cross-entropy has no gradient any more. On the evaluation networks the largest score of real inputs is 1.3 to
2.4 times that of 128 procedural pictures, and 0.9 to 1.6 times that of driven ones (docs/decisions/0002). A range that
ends at 0.7 of the largest score costs 2 to 3 points of agreement where there are 1000 classes, one that ends at 1.5 of
it 1 point. The smallest scores are left as they are: no top class hangs on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import consumers, float_weight, is_op, static_shape, value_by_name

UNSURE_MARGIN = 1.0
"""Share by which the largest scores of inputs that belong to no class are exceeded."""
SURE_MARGIN = 0.3
"""The same of inputs driven to classes, above the margin that these have anyway."""
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class ScoreMargin:
    """How much further up the ranges of some tensors end.

    Attributes:
        tensors: of the folded model.
        margin: share of the largest value.
    """

    tensors: frozenset[str] = frozenset()
    margin: float = 0.0

    def above(self, name: str, usual: float) -> float:
        """Margin for the maximum of a tensor whose other extreme gets the usual one."""
        return max(usual, self.margin) if name in self.tensors else usual


def score_margin(model: PreparedModel, *, sure: bool) -> ScoreMargin:
    """The margin that class scores get.

    Args:
        model: whose folded form it is for.
        sure: some of the inputs that were looked at were driven to classes.
    """
    return ScoreMargin(tensors=score_tensors(model), margin=SURE_MARGIN if sure else UNSURE_MARGIN)


def score_tensors(model: PreparedModel) -> frozenset[str]:
    """What the last weighted layer gives and all that is made of it, if the only output holds one score per class."""
    if len(model.output_names) != 1 or not _per_class(value_by_name(model.folded)[model.output_names[0]]):
        return frozenset()
    weighted = [node for node in model.folded.graph if is_op(node, *_WEIGHTED) and float_weight(node) is not None]
    found: set[str] = set()
    waiting = weighted[-1:]
    while waiting:
        for output in waiting.pop().outputs:
            if output.name and output.name not in found:
                found.add(output.name)
                waiting.extend(consumers(output))
    return frozenset(found)


def _per_class(output: ir.Value) -> bool:
    """One axis longer than 1 beside the batch."""
    shape = static_shape(output)
    return shape is not None and None not in shape[1:] and sum(side != 1 for side in shape[1:]) == 1
