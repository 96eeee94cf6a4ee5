"""The optimisations that one calibration consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationRequest, Device
from zsq_export.calib.bn_inversion.class_scores import class_scores, last_features
from zsq_export.calib.bn_inversion.improve.recipe import Recipe, recipe_for
from zsq_export.calib.bn_inversion.objective import norm_targets
from zsq_export.calib.bn_inversion.optimise import FinalLosses, InversionProblem, invert
from zsq_export.calib.bn_inversion.parametrisation import Pixels, Unbounded, natural_spectrum
from zsq_export.calib.bn_inversion.settings import InversionSettings
from zsq_export.calib.bn_inversion.terms import ClassEvidence, Term
from zsq_export.calib.first_layer import head
from zsq_export.calib.improvement import Improvement
from zsq_export.calib.starting_point import StartingPoint
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepared import PreparedModel

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inverted:
    """Model inputs float32 [samples, ...] and the mean losses they ended with, those of the terms by name."""

    inputs: FloatArray
    batchnorm: float
    terms: tuple[tuple[str, float], ...]


def match_statistics(
    model: PreparedModel,
    start: StartingPoint,
    settings: InversionSettings,
    request: CalibrationRequest,
    recipe: Recipe | None = None,
) -> Inverted:
    """Inputs with the stored BatchNorm statistics, batch after batch; the rest of the samples stays as it started."""
    recipe = recipe or recipe_for(model, (), request.seed)
    scores = class_scores(model) if recipe.needs_classes else None
    problem = _problem(model, start, request, scores=scores)
    if settings.spectral and start.is_picture:
        height, width = start.variable.shape[2:]
        problem = replace(problem, parametrisation=natural_spectrum(height, width, request.device.value))
    problem = _improved(problem, model, start, request, recipe) if recipe.improvements else problem
    begun = recipe.start(start, request.seed)
    found = _in_batches(problem, begun, settings, request, settings.inverted)
    return replace(found, inputs=np.concatenate([found.inputs, begun.inputs()[settings.inverted :]]))


def _improved(
    problem: InversionProblem,
    model: PreparedModel,
    start: StartingPoint,
    request: CalibrationRequest,
    recipe: Recipe,
) -> InversionProblem:
    """The same with what was asked for."""
    device, lasting, to_input = request.device.value, recipe.lasting(), problem.to_input
    return replace(
        problem,
        to_input=to_input if lasting is None else lambda variable: to_input(lasting(variable)),
        targets=recipe.targets(problem.targets, problem.executor, start, device),
        terms=recipe.terms(model, start, device),
        features=(last_features(model),) if Improvement.SPREAD in recipe else (),
        passing=recipe.passing(),
        classes_in_groups=Improvement.SPREAD in recipe,
    )


def drive_to_classes(
    model: PreparedModel,
    start: StartingPoint,
    settings: InversionSettings,
    request: CalibrationRequest,
    others: tuple[Term, ...] = (),
) -> Inverted | None:
    """A few inputs that the network is sure of, each of a random class; None if it is no classifier.

    BatchNorm statistics are met as far as there are some, and ``others`` are wanted, too.
    """
    scores = class_scores(model)
    if scores is None or settings.class_weight == 0:
        return None
    request.progress("looking for class evidence", None)
    quiet = CalibrationRequest(seed=request.seed, device=request.device)
    problem = _problem(model, start, request, scores=scores)
    problem = replace(problem, terms=(ClassEvidence(weight=settings.class_weight), *others))
    count = min(settings.evidence, settings.samples)
    return _in_batches(problem, start, replace(settings, batch=settings.evidence_batch), quiet, count)


def _in_batches(
    problem: InversionProblem,
    start: StartingPoint,
    settings: InversionSettings,
    request: CalibrationRequest,
    count: int,
) -> Inverted:
    generator = torch.Generator().manual_seed(request.seed)
    # Improvements look at one batch as a whole.
    apart = all(isinstance(term, ClassEvidence) for term in problem.terms) and problem.passing is None
    at_once = settings.at_once if apart else 1
    passes = list(_passes(count, settings.batch, at_once))
    made: list[FloatArray] = []
    losses: list[FinalLosses] = []
    for index, (part, groups) in enumerate(passes):
        chosen = torch.from_numpy(start.variable[part]).to(request.device.value)
        if chosen.dim() == 4 and request.device is Device.CPU:
            chosen = chosen.contiguous(memory_format=torch.channels_last)
        together = replace(problem, groups=groups)
        variable, final = invert(together, chosen, settings, generator, _share(request, index, len(passes)))
        made.append(problem.to_input(variable).cpu().contiguous().numpy())
        losses.append(final)
    return Inverted(
        inputs=np.concatenate(made),
        batchnorm=float(np.mean([loss.batchnorm for loss in losses])),
        terms=_means([loss.terms for loss in losses]),
    )


def _means(losses: Sequence[tuple[tuple[str, float], ...]]) -> tuple[tuple[str, float], ...]:
    """Of each term over the batches."""
    return tuple(
        (name, float(np.mean([dict(batch)[name] for batch in losses]))) for name, _ in (losses[0] if losses else ())
    )


def _passes(count: int, batch: int, at_once: int) -> Iterator[tuple[slice, int]]:
    """Which samples are optimised in one go, and how many batches they are."""
    whole = count // batch
    for first in range(0, whole, at_once):
        groups = min(at_once, whole - first)
        yield slice(first * batch, (first + groups) * batch), groups
    if count % batch:
        yield slice(whole * batch, count), 1


def _share(request: CalibrationRequest, index: int, batches: int) -> Callable[[float], None]:
    return lambda done: request.progress("inverting BatchNorm statistics", (index + done) / batches)


def _problem(
    model: PreparedModel, start: StartingPoint, request: CalibrationRequest, *, scores: str | None
) -> InversionProblem:
    """The network is cut behind what the objective watches: a head with a fixed batch need not run."""
    device = request.device.value
    watched = [*(norm.input_name for norm in model.batchnorms), *([scores] if scores else [])]
    return InversionProblem(
        executor=TorchExecutor(head(model.with_batchnorm, watched), device=device),
        input_name=start.input_name,
        to_input=start.to_input(device),
        unit=start.unit,
        parametrisation=Pixels() if start.is_picture else Unbounded(),
        targets=norm_targets(model.batchnorms, device),
        class_scores=scores,
    )
