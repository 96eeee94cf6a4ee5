"""The calibrator ``bn-inversion``: inputs whose BatchNorm statistics are those the network was trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Provenance
from zsq_export.calib.bn_inversion.objective import norm_targets
from zsq_export.calib.bn_inversion.optimise import FinalLosses, InversionProblem, invert
from zsq_export.calib.bn_inversion.settings import SETTINGS, InversionSettings
from zsq_export.calib.first_layer import head
from zsq_export.calib.starting_point import StartingPoint, starting_point
from zsq_export.calib.tails import TAIL_MARGIN, widen_tails
from zsq_export.errors import CalibrationError
from zsq_export.execution.collect import collect_statistics
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import static_shape, value_by_name

FloatArray = NDArray[np.float32]
_PICTURE_ELEMENTS = 1_000_000
"""Taken for the BatchNorm inputs of one sample where the model leaves its sizes open."""


class BnInversionCalibrator:
    """Starts from the procedural prior and follows the gradient of the BatchNorm-statistics loss to the input."""

    name = "bn-inversion"
    summary = "inputs optimised until every BatchNorm sees the mean and variance it stored (needs BatchNorm)"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: no BatchNorm statistics, or more than one input."""
        if not model.batchnorms:
            return "the model holds no BatchNorm statistics (folded at export, or never there)"
        if len(model.inputs) != 1:
            return f"the model has {len(model.inputs)} float inputs, not one"
        return None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Makes the inputs and gathers the statistics of the folded model on them.

        Raises:
            CalibrationError: the model has no BatchNorm statistics, or several inputs.
            UnsupportedOpError: an operator has no differentiable implementation.
            ModelError: the graph does not run on this many inputs at once.
        """
        obstacle = self.obstacle(model)
        if obstacle:
            raise CalibrationError(obstacle, hint="use --calibrator prior, or export with BatchNorm kept")
        settings = _settings(model, request)
        start = starting_point(model, seed=request.seed, count=settings.samples, given=request.preprocessing)
        inputs, losses = _invert_all(model, start, settings, request)
        request.progress("gathering statistics", None)
        synthetic = {start.input_name: inputs}
        return CalibrationResult(
            statistics=widen_tails(
                model, collect_statistics(model.folded, synthetic), {start.input_name: start.value_range}
            ),
            inputs=synthetic,
            preprocessing=start.preprocessing,
            provenance=Provenance(
                calibrator=self.name,
                seed=request.seed,
                samples=len(inputs),
                settings=(
                    ("steps", str(settings.steps)),
                    ("batch", str(settings.batch)),
                    ("learning rate", f"{settings.learning_rate:g}"),
                    ("class weight", f"{settings.class_weight:g}"),
                    ("class share", f"{settings.class_share:g}"),
                    ("inverted", str(settings.inverted)),
                    ("tail margin", f"{TAIL_MARGIN:g}"),
                ),
                final_losses=(("batchnorm", losses.batchnorm), ("evidence", losses.evidence)),
                notes=start.notes,
            ),
        )


def _settings(model: PreparedModel, request: CalibrationRequest) -> InversionSettings:
    settings = SETTINGS[request.effort]
    if request.samples is not None:
        settings = replace(settings, samples=request.samples)
    return settings.fitted(_elements_per_sample(model))


def _elements_per_sample(model: PreparedModel) -> int:
    """Elements of all BatchNorm inputs for one sample, which the time of a step is roughly proportional to."""
    values = value_by_name(model.with_batchnorm)
    shapes = [static_shape(values[norm.input_name]) for norm in model.batchnorms]
    known = [shape[1:] for shape in shapes if shape is not None and None not in shape[1:]]
    return sum(math.prod(side or 0 for side in sides) for sides in known) or _PICTURE_ELEMENTS


def _invert_all(
    model: PreparedModel, start: StartingPoint, settings: InversionSettings, request: CalibrationRequest
) -> tuple[FloatArray, FinalLosses]:
    """Optimises batch after batch; returns model inputs and the mean losses."""
    problem = _problem(model, start, settings, request)
    generator = torch.Generator().manual_seed(request.seed)
    batches = math.ceil(settings.inverted / settings.batch)
    made: list[FloatArray] = []
    losses: list[FinalLosses] = []
    for index in range(batches):
        first, last = index * settings.batch, min((index + 1) * settings.batch, settings.inverted)
        chosen = torch.from_numpy(start.variable[first:last]).to(request.device.value)
        if chosen.dim() == 4:
            chosen = chosen.contiguous(memory_format=torch.channels_last)
        variable, final = invert(problem, chosen, settings, generator, _share(request, index, batches))
        made.append(problem.to_input(variable).cpu().contiguous().numpy())
        losses.append(final)
    mean = FinalLosses(
        batchnorm=float(np.mean([loss.batchnorm for loss in losses])),
        evidence=float(np.mean([loss.evidence for loss in losses])),
    )
    return np.concatenate([*made, start.inputs()[settings.inverted :]]), mean


def _share(request: CalibrationRequest, index: int, batches: int) -> Callable[[float], None]:
    return lambda done: request.progress("inverting BatchNorm statistics", (index + done) / batches)


def _problem(
    model: PreparedModel, start: StartingPoint, settings: InversionSettings, request: CalibrationRequest
) -> InversionProblem:
    """The network is cut behind what the objective watches: a head with a fixed batch need not run."""
    device = request.device.value
    scores = class_scores(model) if settings.class_weight > 0 else None
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
