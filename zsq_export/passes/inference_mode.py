"""BatchNormalization as it is meant after training."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.errors import ModelError
from zsq_export.graph.topology import is_op
from zsq_export.passes.editing import Editor

_MODE = "training_mode"


class InferenceMode(ir.passes.InPlacePass):
    """Turns BatchNormalization nodes exported in training mode into inference ones.

    1. ``training_mode=1`` becomes 0: the stored statistics are used instead of those of the batch. This is the one
       pass that may change outputs; ONNX Runtime does not run the training form on a CPU at all.
    2. Running-statistics outputs that nobody reads go.
    3. If one of them is read or is a graph output, the file is a training graph: an error.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules.

        Raises:
            ModelError: the updated statistics are used in the graph.
        """
        editor = Editor(model)
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            if not is_op(node, "BatchNormalization"):
                continue
            extra = node.outputs[1:]
            if any(value.uses() or value.is_graph_output() for value in extra):
                raise ModelError(
                    f"node {node.name!r} is a BatchNormalization that is still being trained",
                    hint="export the model in evaluation mode: model.eval()",
                )
            if extra:
                node.resize_outputs(1)
                editor.modified = True
            if node.attributes.get_int(_MODE, 0):
                editor.modified = True
            node.attributes.pop(_MODE, None)
        return editor.result()
