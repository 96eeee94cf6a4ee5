"""The calibrator ``evidence``: for classifiers without BatchNorm, such as convolutional networks with LayerNorm.

A LayerNorm stores no statistics of the data to be matched, but it normalises every sample: what lies before the last
one is about as large for the prior's pictures as for real ones. What lies behind it is as large as the network is sure,
which procedural pictures do not make it. So some of them are driven to random classes (Yin et al., DeepInversion, CVPR
2020, without its BatchNorm term), held near natural textures, and count behind the last normalisation only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import torch

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.class_scores import class_scores
from zsq_export.calib.bn_inversion.evidence import behind_all
from zsq_export.calib.bn_inversion.improve.pictures import texture_energies
from zsq_export.calib.bn_inversion.improve.terms import Texture
from zsq_export.calib.bn_inversion.runs import drive_to_classes
from zsq_export.calib.bn_inversion.settings import InversionSettings
from zsq_export.calib.bn_inversion.terms import Term
from zsq_export.calib.cost import elements_per_sample
from zsq_export.calib.gathering import Sure, gathered
from zsq_export.calib.starting_point import StartingPoint, starting_point
from zsq_export.errors import CalibrationError
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import float_weight, is_op, producers

SETTINGS = {
    Effort.FAST: InversionSettings(
        samples=64, inverted=8, batch=8, steps=6, evidence=8, evidence_batch=8, budget=2.0e8, enough=8
    ),
    Effort.BALANCED: InversionSettings(
        samples=128, inverted=32, batch=16, steps=16, evidence=32, evidence_batch=16, budget=1.0e9, enough=16
    ),
    Effort.THOROUGH: InversionSettings(
        samples=512, inverted=128, batch=32, steps=60, evidence=128, evidence_batch=32, budget=5.0e10, enough=128
    ),
}
"""``inverted`` only sets what is affordable: inputs are driven to classes, none to statistics."""

TEXTURE_WEIGHT = 0.1
_NORMALISATIONS = ("LayerNormalization", "GroupNormalization", "InstanceNormalization")


class EvidenceCalibrator:
    """Pictures of the prior for all ranges, and some driven to classes for those behind the last normalisation."""

    name = "evidence"
    summary = "the prior's inputs, some driven to random classes (for LayerNorm networks; needs class scores)"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: several inputs, or no class scores."""
        if len(model.inputs) != 1:
            return f"the model has {len(model.inputs)} float inputs, not one"
        return None if class_scores(model) else "the model gives no class scores"

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Makes the inputs and gathers the statistics of the folded model on them.

        Raises:
            CalibrationError: the model has several inputs, or no class scores.
            UnsupportedOpError: an operator has no differentiable implementation.
        """
        obstacle = self.obstacle(model)
        if obstacle is not None:
            raise CalibrationError(obstacle, hint="use --calibrator prior")
        settings = SETTINGS[request.effort]
        settings = settings if request.samples is None else replace(settings, samples=request.samples)
        settings = replace(settings.fitted(elements_per_sample(model)), samples=settings.samples)
        start = starting_point(model, seed=request.seed, count=settings.samples, given=request.preprocessing)
        driven = drive_to_classes(model, start, settings, request, _natural(start, request.device.value))
        assert driven is not None
        name, usual = start.input_name, start.inputs()
        found = gathered(
            model,
            request,
            [start],
            {name: usual},
            calibrator=self.name,
            settings=(
                ("driven", str(len(driven.inputs))),
                ("steps", str(settings.steps)),
                ("texture weight", f"{TEXTURE_WEIGHT:g}"),
            ),
            losses=driven.terms,
            sure=Sure(inputs=driven.inputs, tensors=behind_all(model, border(model))),
        )
        both = np.concatenate([usual[: max(0, settings.samples - len(driven.inputs))], driven.inputs])
        return replace(found, inputs={name: both}, provenance=replace(found.provenance, samples=len(both)))


def _natural(start: StartingPoint, device: str) -> tuple[Term, ...]:
    """Keeps pictures near the prior's textures; inputs that are no pictures have none."""
    if not start.is_picture:
        return ()
    energies = texture_energies(torch.from_numpy(start.variable).to(device))
    return (Texture(energies=energies, weight=TEXTURE_WEIGHT),)


def normalisations(model: PreparedModel) -> tuple[ir.Node, ...]:
    """Nodes that normalise each sample by its own deviation, as one operator or as exporters spell it out."""
    graph = model.with_batchnorm.graph
    return tuple(node for node in graph if is_op(node, *_NORMALISATIONS) or _divides_by_root(node))


def border(model: PreparedModel) -> tuple[ir.Node, ...]:
    """What evidence counts behind: the normalisations; without any, what makes the last weighted node's input."""
    weighted = [node for node in model.with_batchnorm.graph if float_weight(node) is not None]
    last = tuple(producers(weighted[-1])) or (weighted[-1],) if weighted else ()
    return normalisations(model) or last


def _divides_by_root(node: ir.Node) -> bool:
    """A Div by a Sqrt of a computed variance: the LayerNorm of older operator sets."""
    if not is_op(node, "Div") or len(node.inputs) < 2 or node.inputs[1] is None:
        return False
    root = node.inputs[1].producer()
    if root is None or not is_op(root, "Sqrt"):
        return False
    sums = [producer for producer in producers(root) if is_op(producer, "Add", "ReduceMean")]
    means = [p for item in sums for p in (item, *producers(item)) if is_op(p, "ReduceMean")]
    return bool(means)
