"""The calibrator ``bn-inversion``: inputs whose BatchNorm statistics are those the network was trained on."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.calib.base import CalibrationRequest, CalibrationResult
from zsq_export.calib.bn_inversion.evidence import behind_last_batchnorm
from zsq_export.calib.bn_inversion.improve.recipe import recipe_for
from zsq_export.calib.bn_inversion.runs import drive_to_classes, match_statistics
from zsq_export.calib.bn_inversion.settings import InversionSettings, settings_for
from zsq_export.calib.cost import elements_per_sample
from zsq_export.calib.gathering import Sure, gathered
from zsq_export.calib.improvement import Improvement
from zsq_export.calib.starting_point import starting_point
from zsq_export.errors import CalibrationError
from zsq_export.graph.prepared import PreparedModel


class BnInversionCalibrator:
    """Starts from the procedural prior and follows the gradient of the BatchNorm-statistics loss to the input."""

    name = "bn-inversion"
    summary = "inputs optimised until every BatchNorm sees the mean and variance it stored (needs BatchNorm)"
    improvable = True

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
            CalibrationError: the model has no BatchNorm statistics, several inputs, or not what an improvement needs.
            UnsupportedOpError: an operator has no differentiable implementation.
            ModelError: the graph does not run on this many inputs at once.
        """
        obstacle = self.obstacle(model)
        if obstacle:
            raise CalibrationError(obstacle, hint="use --calibrator prior, or export with BatchNorm kept")
        recipe = recipe_for(model, request.improvements, request.seed)
        settings = _settings(model, request)
        start = starting_point(model, seed=request.seed, count=settings.samples, given=request.preprocessing)
        matched = match_statistics(model, start, settings, request, recipe)
        driven = None if Improvement.PLAIN in recipe else drive_to_classes(model, start, settings, request)
        return gathered(
            model,
            request,
            [start],
            {start.input_name: matched.inputs},
            calibrator=self.name,
            settings=(*settings.described(), *recipe.described()),
            losses=(("batchnorm", matched.batchnorm), *matched.terms, *(driven.terms if driven is not None else ())),
            sure=None if driven is None else Sure(inputs=driven.inputs, tensors=behind_last_batchnorm(model)),
        )


def _settings(model: PreparedModel, request: CalibrationRequest) -> InversionSettings:
    settings = settings_for(request.effort, request.device)
    if request.samples is not None:
        settings = replace(settings, samples=request.samples, enough=settings.inverted)
    return settings.fitted(elements_per_sample(model))
