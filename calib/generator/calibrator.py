"""The calibrators ``generator`` and ``generator-conditional``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from zsq_export.calib.base import CalibrationRequest, CalibrationResult
from zsq_export.calib.bn_inversion.class_scores import class_scores
from zsq_export.calib.bn_inversion.objective import norm_targets
from zsq_export.calib.cost import elements_per_sample
from zsq_export.calib.first_layer import head
from zsq_export.calib.gathering import gathered
from zsq_export.calib.generator.settings import SETTINGS, GeneratorSettings
from zsq_export.calib.generator.training import GeneratorProblem, generate, strided_convolutions
from zsq_export.calib.starting_point import StartingPoint, starting_point
from zsq_export.calib.synthesis import sole_picture
from zsq_export.errors import CalibrationError
from zsq_export.execution.torch_executor.segments import SegmentedExecutor
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import static_shape, value_by_name

_ONE = 1


class GeneratorCalibrator:
    """A fresh generator with learnable latents per batch (Genie-D), with evidence of random classes."""

    name = "generator"
    summary = "pictures of a small generator network trained to the stored BatchNorm statistics (needs BatchNorm)"
    conditional = False

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: no BatchNorm statistics, or the input is no picture."""
        if not model.batchnorms:
            return "the model holds no BatchNorm statistics (folded at export, or never there)"
        if sole_picture(model) is None:
            return "the generator makes pictures, and the model does not take exactly one"
        return None

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Trains the generators and gathers the statistics of the folded model on what they make.

        Raises:
            CalibrationError: the model has no BatchNorm statistics, or its input is no picture.
            UnsupportedOpError: an operator has no differentiable implementation.
        """
        obstacle = self.obstacle(model)
        if obstacle is not None:
            raise CalibrationError(obstacle, hint="use --calibrator prior")
        settings = self._settings(model, request)
        start = starting_point(model, seed=request.seed, count=_ONE, given=request.preprocessing)
        problem = self._problem(model, start, request)
        batches = math.ceil(settings.samples / settings.batch)
        with torch.random.fork_rng():
            torch.manual_seed(request.seed)
            made = [
                generate(
                    problem,
                    settings,
                    min(settings.batch, settings.samples - index * settings.batch),
                    _share(request, index, batches),
                )
                for index in range(batches)
            ]
        inputs = {start.input_name: np.concatenate([part.inputs.contiguous().numpy() for part in made])}
        losses = (("batchnorm", float(np.mean([part.batchnorm for part in made]))),)
        return gathered(
            model, request, [start], inputs, calibrator=self.name, settings=settings.described(), losses=losses
        )

    def _settings(self, model: PreparedModel, request: CalibrationRequest) -> GeneratorSettings:
        settings = SETTINGS[request.effort]
        settings = replace(settings, samples=request.samples) if request.samples is not None else settings
        return settings.fitted(elements_per_sample(model))

    def _problem(self, model: PreparedModel, start: StartingPoint, request: CalibrationRequest) -> GeneratorProblem:
        picture = start.picture
        if picture is None:
            raise CalibrationError(
                "the input has the shape of a picture, but no convention of pictures fits it",
                hint="give --mean/--std, or use --calibrator bn-inversion",
            )
        scores = class_scores(model)
        watched = [*(norm.input_name for norm in model.batchnorms), *([scores] if scores else [])]
        cut = head(model.with_batchnorm, watched)
        shape = static_shape(value_by_name(model.with_batchnorm)[scores]) if scores else None
        return GeneratorProblem(
            executor=SegmentedExecutor(cut, device=request.device.value),
            input_name=start.input_name,
            picture=picture,
            to_input=start.to_input(request.device.value),
            targets=norm_targets(model.batchnorms, request.device.value),
            class_scores=scores,
            classes=(shape[1] or 0) if shape else 0,
            strided=strided_convolutions(cut),
            conditional=self.conditional and scores is not None,
        )


def _share(request: CalibrationRequest, index: int, batches: int) -> Callable[[float], None]:
    return lambda done: request.progress("training a generator", (index + done) / batches)


class ConditionalGeneratorCalibrator(GeneratorCalibrator):
    """The same, with the class of each sample known to the generator (after GDFQ)."""

    name = "generator-conditional"
    summary = "the generator, told the class that each picture is to show (after GDFQ; needs BatchNorm, a classifier)"
    conditional = True

    def obstacle(self, model: PreparedModel) -> str | None:
        """As for the generator; a model that is no classifier has no classes to be told."""
        return super().obstacle(model) or (None if class_scores(model) else "the model gives no class scores")
