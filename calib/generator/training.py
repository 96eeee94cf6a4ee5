"""Training of one generator with its latents, and what comes out of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from zsq_export.calib.bn_inversion.objective import NormTarget, batchnorm_loss
from zsq_export.calib.generator.network import PictureGenerator
from zsq_export.calib.generator.settings import GeneratorSettings
from zsq_export.calib.synthesis import PictureInput
from zsq_export.execution.torch_executor.segments import Patch, SegmentedExecutor
from zsq_export.graph.topology import ints_attribute, is_op


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratorProblem:
    """A frozen network and what its inputs have to achieve.

    Attributes:
        executor: the network with its BatchNorms, cut behind what is watched.
        input_name: graph input.
        picture: its geometry.
        to_input: pictures in 0..1 -> the model's input, differentiable.
        targets: BatchNorm statistics to meet.
        class_scores: tensor with class scores; None: the model is no classifier.
        classes: how many there are.
        strided: convolutions that skip positions: what they read is shifted at random.
        conditional: the generator knows the class of each sample.
    """

    executor: SegmentedExecutor
    input_name: str
    picture: PictureInput
    to_input: Callable[[Tensor], Tensor]
    targets: tuple[NormTarget, ...]
    class_scores: str | None
    classes: int
    strided: tuple[str, ...]
    conditional: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Generated:
    """Model inputs [samples, ...] and the losses they ended with."""

    inputs: Tensor
    batchnorm: float
    evidence: float


def strided_convolutions(model: ir.Model) -> tuple[str, ...]:
    """Names of the Conv nodes with a stride."""
    return tuple(
        node.name or ""
        for node in model.graph
        if is_op(node, "Conv") and max(ints_attribute(node, "strides", (1,))) > 1
    )


def swing(pixels: int) -> Patch:
    """Reflects the borders and crops at a random place: what a stride skips changes from step to step (Genie, 3.2)."""

    def shifted(value: Tensor) -> Tensor:
        if value.dim() != 4 or min(value.shape[2:]) <= pixels:
            return value
        padded = functional.pad(value, [pixels] * 4, mode="reflect")
        top, left = (int(torch.randint(2 * pixels + 1, (1,))) for _ in range(2))
        return padded[:, :, top : top + value.shape[2], left : left + value.shape[3]]

    return shifted


def generate(
    problem: GeneratorProblem, settings: GeneratorSettings, count: int, progress: Callable[[float], None]
) -> Generated:
    """Trains a fresh generator with ``count`` latents.

    Torch's global random state decides everything: seed it before.
    """
    picture, device = problem.picture, problem.executor.device
    network = PictureGenerator(
        channels=picture.channels,
        height=picture.height,
        width=picture.width,
        features=settings.width,
        latent=settings.latent,
        classes=problem.classes if problem.conditional else 0,
    ).to(device)
    latents = torch.randn(count, settings.latent, device=device, requires_grad=True)
    classes = torch.randint(max(problem.classes, 1), (count,), device=device) if problem.class_scores else None
    optimisers = (
        torch.optim.Adam([latents], lr=settings.latent_rate),
        torch.optim.Adam(network.parameters(), lr=settings.generator_rate, betas=(0.5, 0.999)),
    )
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, settings.steps) for o in optimisers]
    whole = problem.executor.whole(_watched(problem))
    patches = {(name, 0): swing(settings.swing) for name in problem.strided} if settings.swing else {}
    statistics = evidence = torch.tensor(math.nan)
    for step in range(settings.steps):
        inputs = problem.to_input(network(latents, classes))
        found = problem.executor.run(whole, {problem.input_name: inputs}, patches)
        statistics = batchnorm_loss(found, problem.targets)
        loss = statistics
        if problem.class_scores is not None and classes is not None:
            evidence = functional.cross_entropy(found[problem.class_scores].float(), classes)
            loss = loss + settings.class_weight * evidence
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
        progress((step + 1) / settings.steps)
    with torch.no_grad():
        made = problem.to_input(network(latents, classes)).cpu()
    return Generated(inputs=made, batchnorm=float(statistics.detach()), evidence=float(evidence.detach()))


def _watched(problem: GeneratorProblem) -> Sequence[str]:
    scores = [problem.class_scores] if problem.class_scores else []
    return list(dict.fromkeys([*(target.input_name for target in problem.targets), *scores]))
