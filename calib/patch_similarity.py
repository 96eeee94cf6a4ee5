"""The calibrator ``patch-similarity``: inputs for attention models, which have no BatchNorm statistics to match.

Source: Li et al., "Patch Similarity Aware Data-Free Quantization for Vision Transformers" (PSAQ-ViT), ECCV 2022. On
real pictures the patches of an attention's output differ, on noise they are alike. The entropy of their cosine
similarities is raised, together with the evidence of a random class per picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.class_scores import class_scores
from zsq_export.calib.gathering import gathered
from zsq_export.calib.starting_point import StartingPoint, starting_point
from zsq_export.calib.synthesis import sole_picture
from zsq_export.errors import CalibrationError
from zsq_export.execution.torch_executor.segments import Segment, SegmentedExecutor
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import constant_value, consumers, is_op

_POINTS = 10
_RATE = 0.02
_CLASS_WEIGHT = 1.0
_SMOOTH_WEIGHT = 0.05
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """Pictures made, and steps of Adam per batch."""

    samples: int
    steps: int


SETTINGS = {
    Effort.FAST: PatchSettings(samples=32, steps=10),
    Effort.BALANCED: PatchSettings(samples=64, steps=40),
    Effort.THOROUGH: PatchSettings(samples=256, steps=500),
}


class PatchSimilarityCalibrator:
    """Starts from the procedural prior and makes the patches that each attention sees differ."""

    name = "patch-similarity"
    summary = "pictures whose patches differ behind every attention (PSAQ-ViT; needs attention, no BatchNorm)"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: no attention, or the input is no picture."""
        if sole_picture(model) is None:
            return "patches are those of pictures, and the model does not take exactly one"
        if not attention_outputs(model.with_batchnorm):
            return "the model has no attention (a Softmax that a product of matrices reads)"
        return None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Optimises the pictures and gathers the statistics of the folded model on them.

        Raises:
            CalibrationError: the model has no attention, or its input is no picture.
            UnsupportedOpError: an operator has no differentiable implementation.
        """
        obstacle = self.obstacle(model)
        if obstacle is not None:
            raise CalibrationError(obstacle, hint="use --calibrator auto")
        settings = SETTINGS[request.effort]
        samples = request.samples or settings.samples
        start = starting_point(model, seed=request.seed, count=samples, given=request.preprocessing)
        inputs = {start.input_name: self._optimised(model, start, settings.steps, request).numpy()}
        described = (("steps", str(settings.steps)),)
        return gathered(model, request, [start], inputs, calibrator=self.name, settings=described)

    def _optimised(self, model: PreparedModel, start: StartingPoint, steps: int, request: CalibrationRequest) -> Tensor:
        device, scores = request.device.value, class_scores(model)
        executor = SegmentedExecutor(model.with_batchnorm, device=device)
        attentions = attention_outputs(model.with_batchnorm)
        whole = executor.whole([*attentions, *([scores] if scores else [])])
        to_input = start.to_input(device)
        parts = torch.split(torch.from_numpy(start.variable.copy()).to(device), _BATCH)
        made = []
        with torch.random.fork_rng():
            torch.manual_seed(request.seed)
            for index, part in enumerate(parts):
                request.progress("making patches differ", index / len(parts))
                variable = part.clone().requires_grad_(True)
                _descend(variable, start, steps, executor, whole, attentions, scores)
                made.append(to_input(variable.detach()).cpu())
        return torch.cat(made).contiguous()


def attention_outputs(model: ir.Model) -> tuple[str, ...]:
    """Outputs of the products that read a Softmax and a computed tensor."""
    products = (
        reader
        for node in model.graph
        if is_op(node, "Softmax")
        for reader in consumers(node.outputs[0])
        if is_op(reader, "MatMul") and all(constant_value(value) is None for value in reader.inputs)
    )
    return tuple(node.outputs[0].name or "" for node in products)


def patch_entropy(patches: Tensor) -> Tensor:
    """Differential entropy of the cosine similarities between patches, averaged over pictures and heads.

    Args:
        patches: [..., patches, features].

    Returns:
        0-d; from a kernel density estimate with Silverman's bandwidth, evaluated at ten points.
    """
    unit = functional.normalize(patches.flatten(0, -3), dim=-1)
    similarity = (unit @ unit.transpose(1, 2)).flatten(1)
    low, high = similarity.min(1, keepdim=True).values, similarity.max(1, keepdim=True).values
    share = torch.linspace(0, 1, _POINTS, device=patches.device)
    points = low + (high - low) * share
    width = 1.06 * similarity.std(1, keepdim=True).clamp_min(1e-4) * similarity.shape[1] ** -0.2
    distance = (points[:, :, None] - similarity[:, None]) / width[:, :, None]
    density = (torch.exp(-(distance**2) / 2).mean(2) / (width * (2 * torch.pi) ** 0.5)).clamp_min(1e-8)
    step = (high - low) / (_POINTS - 1)
    entropy: Tensor = -(density * density.log() * step).sum(1).mean()
    return entropy


def _descend(
    variable: Tensor,
    start: StartingPoint,
    steps: int,
    executor: SegmentedExecutor,
    whole: Segment,
    attentions: Sequence[str],
    scores: str | None,
) -> None:
    """Changes the pictures in place."""
    optimiser = torch.optim.Adam([variable], lr=_RATE * start.unit, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    to_input = start.to_input(executor.device.type)
    classes: Tensor | None = None
    for _ in range(steps):
        found = executor.run(whole, {start.input_name: to_input(variable)}, {})
        loss = -torch.stack([patch_entropy(found[name]) for name in attentions]).mean()
        if scores is not None:
            if classes is None:
                classes = torch.randint(found[scores].shape[1], (len(variable),)).to(executor.device)
            loss = loss + _CLASS_WEIGHT * functional.cross_entropy(found[scores].float(), classes)
        loss = loss + _SMOOTH_WEIGHT * _variation(variable)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if start.is_picture:
            with torch.no_grad():
                variable.clamp_(0.0, 1.0)


def _variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels."""
    return pictures.diff(dim=2).abs().mean() + pictures.diff(dim=3).abs().mean()
