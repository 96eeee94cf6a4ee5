"""Gradient descent on the inputs of a frozen network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zsq_export.calib.bn_inversion.adam import Adam
from zsq_export.calib.bn_inversion.objective import NormTarget, batchnorm_loss
from zsq_export.calib.bn_inversion.settings import InversionSettings
from zsq_export.execution.torch_executor import TorchExecutor

WARM_END = 0.05
"""Share of the peak learning rate that the cosine decay ends at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InversionProblem:
    """A frozen network with the way from the optimised variable to its input.

    Attributes:
        executor: the network with its BatchNorms.
        input_name: graph input.
        to_input: differentiable map from the variable (pictures in 0..1, or the input itself) to the model's input.
        unit: of the variable, which the learning rate is relative to.
        project: puts the variable back into its allowed range, in place.
        targets: BatchNorm statistics to meet.
        groups: parts of the batch whose statistics are matched one by one.
        class_scores: name of the output with class scores, shape [samples, classes]; None: the model is no classifier.
    """

    executor: TorchExecutor
    input_name: str
    to_input: Callable[[Tensor], Tensor]
    unit: float
    project: Callable[[Tensor], None]
    targets: tuple[NormTarget, ...]
    class_scores: str | None
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class FinalLosses:
    """Loss values at the last step."""

    batchnorm: float
    evidence: float


def invert(
    problem: InversionProblem,
    start: Tensor,
    settings: InversionSettings,
    generator: torch.Generator,
    progress: Callable[[float], None],
) -> tuple[Tensor, FinalLosses]:
    """Optimises a batch of inputs with Adam (Kingma & Ba 2015) and cosine decay.

    Args:
        problem: see there.
        start: the variable's first value, float32 [samples, ...].
        settings: steps, learning rate and weights.
        generator: source of the target classes.
        progress: called with the fraction done after each step.

    Returns:
        The optimised variable (detached) and the losses at the end.
    """
    variable = start.detach().clone(memory_format=torch.preserve_format).requires_grad_(True)
    peak = settings.learning_rate * problem.unit
    optimiser = Adam(variable)
    classes: Tensor | None = None
    losses = FinalLosses(batchnorm=math.nan, evidence=math.nan)
    for step, rate in enumerate(_cosine(settings.steps, peak)):
        trace = problem.executor(
            {problem.input_name: problem.to_input(variable)}, taps=[target.input_name for target in problem.targets]
        )
        statistics = batchnorm_loss(trace.taps, problem.targets, problem.groups)
        evidence = torch.zeros((), device=statistics.device)
        if problem.class_scores is not None:
            scores = trace.outputs[problem.class_scores].float()
            if classes is None:
                classes = torch.randint(scores.shape[1], (len(scores),), generator=generator).to(scores.device)
            evidence = functional.cross_entropy(scores, classes)
        variable.grad = None
        (statistics + settings.class_weight * evidence).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            optimiser.step(rate)
            problem.project(variable)
        losses = FinalLosses(batchnorm=float(statistics.detach()), evidence=float(evidence.detach()))
        progress((step + 1) / settings.steps)
    return variable.detach(), losses


def _cosine(steps: int, peak: float) -> Iterator[float]:
    for step in range(steps):
        yield peak * (WARM_END + (1 - WARM_END) * 0.5 * (1 + math.cos(math.pi * step / steps)))
