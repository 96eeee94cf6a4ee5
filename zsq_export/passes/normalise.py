"""The order in which the float passes run."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.graph.shapes import infer_shapes
from zsq_export.passes.fold_affine import FoldAffine
from zsq_export.passes.fold_constants import FoldConstants
from zsq_export.passes.fuse_gelu import FuseGelu
from zsq_export.passes.fuse_pad import FusePad
from zsq_export.passes.inference_mode import InferenceMode
from zsq_export.passes.merge_transposes import MergeTransposes
from zsq_export.passes.normalise_clip import NormaliseClip
from zsq_export.passes.normalise_gemm import NormaliseGemm
from zsq_export.passes.own_biases import OwnBiases
from zsq_export.passes.remove_no_ops import RemoveNoOps
from zsq_export.passes.settle_shapes import SettleShapes
from zsq_export.passes.unify_synonyms import UnifySynonyms


def normalise(model: ir.Model) -> None:
    """Brings a loaded model into the form that calibrators and planning expect, in place; outputs unchanged."""
    _run(model, InferenceMode(), RemoveNoOps(), FoldConstants())
    infer_shapes(model)
    _run(model, SettleShapes(), FoldConstants(), MergeTransposes(), RemoveNoOps())
    _run(model, UnifySynonyms(), FuseGelu(), FusePad(), NormaliseGemm(), FoldAffine(), NormaliseClip())


def settle_parameters(model: ir.Model) -> None:
    """Last touches once BatchNorm is folded, in place."""
    _run(model, OwnBiases())


def _run(model: ir.Model, *passes: ir.passes.InPlacePass) -> None:
    """Runs the passes directly: ``Sequential`` would wrap our errors into its own."""
    for item in passes:
        item(model)
