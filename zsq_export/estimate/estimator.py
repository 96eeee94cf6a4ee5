"""Runs a quantized model on inputs that no calibrator saw, and says what to expect of it on real data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationResult
from zsq_export.estimate.features import SetFeatures, set_features
from zsq_export.estimate.held_out import HeldOut, held_out_sets
from zsq_export.estimate.mismatch import calibration_mismatch
from zsq_export.estimate.predictor import Evidence, predict
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import Origin
from zsq_export.validation.comparison import class_scores
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind
from zsq_export.validation.running import Run, choose_batch, run_padded

Arrays = Mapping[str, NDArray[Any]]


class Estimator:
    """The held-out inputs of one model with what the float model says to them; judges any number of quantized models.

    Args:
        prepared: the float model.
        calibration: says seed and input convention.
        quick: leave out the inputs that take gradients.
    """

    def __init__(self, prepared: PreparedModel, calibration: CalibrationResult, *, quick: bool = False) -> None:
        self.sets = held_out_sets(
            prepared, seed=calibration.provenance.seed, preprocessing=calibration.preprocessing, driven=not quick
        )
        convention = calibration.preprocessing
        self._assumed = convention is not None and convention.origin is Origin.ASSUMED
        self._mismatch = calibration_mismatch(prepared, calibration.statistics)
        reference = OrtSession(prepared.source.path)
        self._batch = choose_batch(self.sets[0].samples, prepared.inputs, reference.run)
        self._exact = {held.name: self._outputs(reference.run, held) for held in self.sets}

    def judge(self, run: Run) -> AgreementEstimate:
        """What is to be expected of a quantized model on real data.

        Of several outputs the first with class scores counts, and where there is none, the worst.

        Args:
            run: one batch through it.
        """
        found = {held.name: self._outputs(run, held) for held in self.sets}
        kind, output = self._judged(found)
        features = {name: self._features(name, output, found[name][output]) for name in found}
        scores = class_scores(self._exact[self.sets[0].name][output])
        classes = 0 if scores is None else scores.shape[1]
        return predict(
            Evidence(kind=kind, sets=features, classes=classes, mismatch=self._mismatch, assumed=self._assumed)
        )

    @property
    def kind(self) -> AgreementKind:
        """What agreement means for this model."""
        return AgreementKind.TOP1 if self._classes() is not None else AgreementKind.VALUES

    def _judged(self, found: Mapping[str, Arrays]) -> tuple[AgreementKind, str]:
        classes = self._classes()
        if classes is not None:
            return AgreementKind.TOP1, classes
        first = self.sets[0].name
        floats = [name for name, array in self._exact[first].items() if np.issubdtype(array.dtype, np.floating)]
        names = floats or list(self._exact[first])
        worst = min(names, key=lambda name: self._features(first, name, found[first][name]).usual)
        return AgreementKind.VALUES, worst

    def _classes(self) -> str | None:
        exact = self._exact[self.sets[0].name]
        return next((name for name, array in exact.items() if class_scores(array) is not None), None)

    def _features(self, held: str, output: str, found: NDArray[Any]) -> SetFeatures:
        exact = self._exact[held][output]
        return set_features(exact, found.reshape(exact.shape))

    def _outputs(self, run: Run, held: HeldOut) -> dict[str, NDArray[Any]]:
        batches = [run_padded(run, batch.feeds, self._batch) for batch in held.samples.batches(self._batch)]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
