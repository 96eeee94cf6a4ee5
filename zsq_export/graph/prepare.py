"""A model file becomes the two float models that the pipeline works on."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes import common

from zsq_export.graph.batchnorm import harvest_batchnorms
from zsq_export.graph.loading import load_model
from zsq_export.graph.naming import make_node_names_unique
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.graph.shapes import infer_shapes
from zsq_export.graph.source import source_file
from zsq_export.graph.topology import static_shape
from zsq_export.passes.fold_batchnorm import FoldBatchNorm
from zsq_export.passes.normalise import normalise, settle_parameters


def prepare_model(path: Path) -> PreparedModel:
    """Loads, normalises, harvests BatchNorm statistics, then folds BatchNorm.

    Args:
        path: the .onnx file.

    Raises:
        ModelError: see :func:`zsq_export.graph.loading.load_model`.
    """
    source = source_file(path)
    model = load_model(path)
    normalise(model)
    infer_shapes(model)
    make_node_names_unique(model)
    common.ClearMetadataAndDocStringPass()(model)
    folded = model.clone()
    FoldBatchNorm()(folded)
    settle_parameters(folded)
    return PreparedModel(
        source=source,
        with_batchnorm=model,
        folded=folded,
        batchnorms=harvest_batchnorms(model),
        inputs=_float_inputs(model),
        output_names=tuple(str(value.name) for value in model.graph.outputs),
    )


def _float_inputs(model: ir.Model) -> tuple[InputInfo, ...]:
    return tuple(
        InputInfo(name=str(value.name), shape=static_shape(value) or ())
        for value in model.graph.inputs
        if value.dtype == ir.DataType.FLOAT
    )
