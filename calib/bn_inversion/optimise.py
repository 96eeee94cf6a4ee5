"""Gradient descent on the inputs of a frozen network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zsq_export.calib.bn_inversion.adam import Adam
from zsq_export.calib.bn_inversion.improve.classes import draw_classes
from zsq_export.calib.bn_inversion.objective import NormTarget, batchnorm_loss
from zsq_export.calib.bn_inversion.parametrisation import Parametrisation
from zsq_export.calib.bn_inversion.settings import InversionSettings
from zsq_export.calib.bn_inversion.terms import Seen, Term
from zsq_export.execution.torch_executor import TorchExecutor

WARM_END = 0.05
"""Share of the peak learning rate that the cosine decay ends at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InversionProblem:
    """A frozen network with the way to its input.

    Attributes:
        executor: the network with its BatchNorms.
        input_name: graph input.
        to_input: differentiable map from what is sought (pictures in 0..1, or the input itself) to the model's input.
        unit: of what is sought, which the learning rate is relative to.
        parametrisation: what is optimised in their stead.
        targets: BatchNorm statistics to meet.
        groups: parts of the batch whose statistics are matched one by one.
        class_scores: name of the output with class scores, shape [samples, classes]; None: no term needs them.
        terms: addends of the loss beside the BatchNorm term.
        features: further tensors that terms look at.
        passing: changes what is sought on its way to the network, at every step but not in the result.
        classes_in_groups: several samples of a batch show the same class.
    """

    executor: TorchExecutor
    input_name: str
    to_input: Callable[[Tensor], Tensor]
    unit: float
    parametrisation: Parametrisation
    targets: tuple[NormTarget, ...]
    class_scores: str | None
    groups: int = 1
    terms: tuple[Term, ...] = ()
    features: tuple[str, ...] = ()
    passing: Callable[[Tensor], Tensor] | None = None
    classes_in_groups: bool = False


@dataclass(frozen=True, kw_only=True)
class FinalLosses:
    """Loss values at the last step; those of the terms by name, without their weights."""

    batchnorm: float
    terms: tuple[tuple[str, float], ...] = ()


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
        start: pictures in 0..1 or inputs to begin with, float32 [samples, ...].
        settings: steps and learning rate.
        generator: source of the target classes.
        progress: called with the fraction done after each step.

    Returns:
        The same, optimised (detached), and the losses at the end.
    """
    own = problem.parametrisation
    variable = own.encode(start.detach()).clone(memory_format=torch.preserve_format).requires_grad_(True)
    peak = settings.learning_rate * problem.unit
    optimiser = Adam(variable)
    classes: Tensor | None = None
    losses = FinalLosses(batchnorm=math.nan)
    watched = list(dict.fromkeys([*(target.input_name for target in problem.targets), *problem.features]))
    for step, rate in enumerate(_cosine(settings.steps, peak)):
        sought = own.decode(variable)
        shown = sought if problem.passing is None else problem.passing(sought)
        trace = problem.executor({problem.input_name: problem.to_input(shown)}, taps=watched)
        statistics = batchnorm_loss(trace.taps, problem.targets, problem.groups)
        scores = trace.outputs[problem.class_scores].float() if problem.class_scores is not None else None
        if scores is not None and classes is None:
            in_groups = problem.classes_in_groups
            classes = draw_classes(len(scores), scores.shape[1], generator, in_groups=in_groups).to(scores.device)
        seen = Seen(sought=sought, taps=trace.taps, scores=scores, classes=classes)
        values = [(term, term(seen)) for term in problem.terms]
        variable.grad = None
        loss = statistics + sum(term.weight * value for term, value in values)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            optimiser.step(rate)
            own.project(variable)
        named = tuple((term.name, float(value.detach())) for term, value in values)
        losses = FinalLosses(batchnorm=float(statistics.detach()), terms=named)
        progress((step + 1) / settings.steps)
    return own.decode(variable.detach()), losses


def _cosine(steps: int, peak: float) -> Iterator[float]:
    for step in range(steps):
        yield peak * (WARM_END + (1 - WARM_END) * 0.5 * (1 + math.cos(math.pi * step / steps)))
