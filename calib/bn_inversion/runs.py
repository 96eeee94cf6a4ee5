"""The optimisations that one calibration consists of."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    return _in_batches(problem, start, settings, quiet, min(settings.evidence, settings.samples))


def _in_batches(
    problem: InversionProblem,
    start: StartingPoint,
    settings: InversionSettings,
    request: CalibrationRequest,
    count: int,
) -> Inverted:
    generator = torch.Generator().manual_seed(request.seed)
    batches = math.ceil(count / settings.batch)
    made: list[FloatArray] = []
    losses: list[FinalLosses] = []
    for index in range(batches):
        first, last = index * settings.batch, min((index + 1) * settings.batch, count)
        chosen = torch.from_numpy(start.variable[first:last]).to(request.device.value)
        if chosen.dim() == 4 and request.device is Device.CPU:
            chosen = chosen.contiguous(memory_format=torch.channels_last)
        variable, final = invert(problem, chosen, settings, generator, _share(request, index, batches))
        made.append(problem.to_input(variable).cpu().contiguous().numpy())
        losses.append(final)
    return Inverted(
        inputs=np.concatenate(made),
        batchnorm=float(np.mean([loss.batchnorm for loss in losses])),
        evidence=float(np.mean([loss.evidence for loss in losses])),
    )


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
