"""Whether a model is a classifier, and where its evidence lies."""

from __future__ import annotations

from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import constant_value, float_weight, static_shape, value_by_name


def class_scores(model: PreparedModel) -> str | None:
    """The only output, if its shape is [samples, classes] with at least two classes.

    None too where the rows do not follow a free batch: such a head (Reshape to [1, -1]) runs on one sample only.
    """
    if len(model.output_names) != 1:
        return None
    shape = static_shape(value_by_name(model.with_batchnorm)[model.output_names[0]])
    if shape is None or len(shape) != 2 or shape[1] is None or shape[1] < 2:
        return None
    baked_in = shape[0] is not None and model.inputs[0].shape[0] is None
    return None if baked_in else model.output_names[0]


def class_count(model: PreparedModel) -> int:
    """How many classes there are; 0: no classifier."""
    scores = class_scores(model)
    shape = static_shape(value_by_name(model.with_batchnorm)[scores]) if scores else None
    return (shape[1] or 0) if shape else 0


def last_features(model: PreparedModel) -> str:
    """What the last weighted layer reads: the features that classes are told apart by."""
    weighted = [node for node in model.with_batchnorm.graph if float_weight(node) is not None]
    source = weighted[-1].inputs[0] if weighted else None
    if source is None or constant_value(source) is not None:
        return model.output_names[0]
    return str(source.name)
