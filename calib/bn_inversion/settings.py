"""How long and how strongly to optimise, by effort."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zsq_export.calib.base import Effort


@dataclass(frozen=True, kw_only=True)
class InversionSettings:
    """Hyper-parameters of the inversion.

    Attributes:
        samples: inputs to make.
        batch: inputs optimised together; their joint statistics are matched.
        steps: Adam steps per batch.
        learning_rate: peak, in units of the pixel range (0..1) or of the input's standard deviation; cosine decay.
        class_weight: of the cross-entropy to random target classes, against 1 for the BatchNorm term.
        budget: upper limit of samples * steps * (BatchNorm input elements of one sample); samples are cut to fit.
    """

    samples: int
    batch: int
    steps: int
    learning_rate: float = 0.02
    class_weight: float = 0.0
    budget: float = 1.5e9

    def fitted(self, elements: int, smallest: int = 8) -> InversionSettings:
        """The same within the budget, for a model with so many BatchNorm input elements per sample.

        The cut depends on the model alone, not on the clock, so that the same seed gives the same inputs anywhere.
        """
        affordable = int(self.budget / max(1, self.steps * elements))
        samples = max(smallest, min(self.samples, affordable))
        return replace(self, samples=samples, batch=min(self.batch, samples))


SETTINGS = {
    Effort.FAST: InversionSettings(samples=32, batch=32, steps=12, budget=2.0e8),
    Effort.BALANCED: InversionSettings(samples=128, batch=64, steps=24),
    Effort.THOROUGH: InversionSettings(samples=512, batch=64, steps=60, budget=4.0e10),
}
