"""The optimisations that one calibration consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsq_export.calib.base import CalibrationRequest, Device
from zsq_export.calib.bn_inversion.objective import norm_targets
from zsq_export.calib.bn_inversion.optimise import FinalLosses, InversionProblem, invert
from zsq_export.calib.bn_inversion.settings import InversionSettings
from zsq_export.calib.first_layer import head
from zsq_export.calib.starting_point import StartingPoint
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import static_shape, value_by_name

FloatArray = NDArray[np.float32]

BATCHES_AT_ONCE = {Device.CPU: 1, Device.CUDA: 8}
"""Batches do not know of each other: this changes memory (about 1 GB each) and how busy a GPU is, not the result."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inverted:
    """Model inputs float32 [samples, ...] and the mean losses they ended with."""

    inputs: FloatArray
    batchnorm: float
    evidence: float


def match_statistics(
    model: PreparedModel, start: StartingPoint, settings: InversionSettings, request: CalibrationRequest
) -> Inverted:
    """Inputs with the stored BatchNorm statistics, batch after batch; the rest of the samples stays as it started."""
    problem = _problem(model, start, request, scores=None)
    found = _in_batches(problem, start, settings, request, settings.inverted)
    return replace(found, inputs=np.concatenate([found.inputs, start.inputs()[settings.inverted :]]))


def drive_to_classes(
    model: PreparedModel, start: StartingPoint, settings: InversionSettings, request: CalibrationRequest
) -> Inverted | None:
    """A few inputs that the network is sure of, each of a random class; None if it is no classifier."""
    scores = class_scores(model)
    if scores is None or settings.class_weight == 0:
        return None
    request.progress("looking for class evidence", None)
    quiet = CalibrationRequest(seed=request.seed, device=request.device)
    problem = _problem(model, start, request, scores=scores)
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
    passes = list(_passes(count, settings.batch, BATCHES_AT_ONCE[request.device]))
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
        evidence=float(np.mean([loss.evidence for loss in losses])),
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
        project=_clamp if start.is_picture else _keep,
        targets=norm_targets(model.batchnorms, device),
        class_scores=scores,
    )


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


def _clamp(pictures: Tensor) -> None:
    pictures.clamp_(0.0, 1.0)


def _keep(_variable: Tensor) -> None:
    """An input that is no picture has no known limits."""
