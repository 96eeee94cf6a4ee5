"""Everything that does not depend on the inputs is computed once, here."""

from __future__ import annotations

import logging

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from zsq_export.errors import ModelError

MAX_ELEMENTS = 1 << 26
"""A folded tensor may have this many elements (256 MB in float32); larger ones stay computed."""


class FoldConstants(ir.passes.InPlacePass):
    """Computes constant subgraphs with onnxscript's folder and lifts the results to initializers.

    1. A node whose inputs are all constant is replaced by its value, whatever the size of its inputs (transposed
       weights, weight normalisation, the Pad arguments that PyTorch computes at run time).
    2. Shape arithmetic on static dimensions is folded; a dynamic dimension stays computed.
    3. Constants become initializers, also those of subgraphs.
    4. Dead nodes and initializers go.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules.

        Raises:
            ModelError: a node cannot be evaluated on its constant inputs.
        """
        changed = self._fold(model)
        for step in (
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.LiftSubgraphInitializersToMainGraphPass(),
            common.RemoveUnusedNodesPass(),
        ):
            changed |= step(model).modified
        return ir.passes.PassResult(model, changed)

    def _fold(self, model: ir.Model) -> bool:
        logger = logging.getLogger("onnxscript.optimizer._constant_folding")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            folded = optimizer.fold_constants(
                model,
                onnx_shape_inference=True,
                output_size_limit=MAX_ELEMENTS,
                should_fold=lambda _node: True,
            )
        except RuntimeError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise ModelError(f"constants cannot be folded: {error}: {reason}", hint="export the model again") from error
        finally:
            logger.setLevel(level)
        return folded.modified
