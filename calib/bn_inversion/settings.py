"""How long and how strongly to optimise, by effort."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zsq_export.calib.base import Effort


@dataclass(frozen=True, kw_only=True)
class InversionSettings:
    """Hyper-parameters of the inversion.

    Attributes:
        samples: inputs to calibrate on.
        inverted: how many of them are optimised; the others stay prior inputs.
        batch: inputs optimised together; their joint statistics are matched.
        steps: Adam steps per batch.
        learning_rate: peak, in units of the pixel range (0..1) or of the input's standard deviation; cosine decay.
        evidence: extra inputs driven to random classes, for the ranges behind the last BatchNorm only.
        evidence_batch: of them optimised together.
        class_weight: of their cross-entropy, against 1 for the BatchNorm term.
        budget: upper limit of inverted * steps * (BatchNorm input elements of one sample).
        enough: inputs that do where ``inverted`` of them would cost more than ``QUICK``.
    """

    samples: int
    inverted: int
    batch: int
    steps: int
    learning_rate: float = 0.02
    evidence: int = 16
    evidence_batch: int = 16
    class_weight: float = 1.0
    budget: float
    enough: int

    def fitted(self, elements: int) -> InversionSettings:
        """The same within the budget, for a model with so many BatchNorm input elements per sample.

        The cut depends on the model alone, not on the clock, so that the same seed gives the same inputs anywhere.
        Large models get fewer inverted inputs, and where those are fewer than enough, the prior's beside them; never
        fewer than a batch needs for statistics.
        """
        affordable = int(self.budget / max(1, self.steps * elements))
        wanted = self.inverted if self.inverted * self.steps * elements <= QUICK else min(self.inverted, self.enough)
        inverted = min(self.samples, wanted, max(FEWEST_INVERTED, affordable))
        samples = inverted if inverted == wanted < self.inverted else self.samples
        largest = max(1, int(LARGEST_BATCH_ELEMENTS / elements))
        evidence = min(self.evidence, max(FEWEST_EVIDENCE, inverted // EVIDENCE_PART))
        return replace(
            self,
            samples=samples,
            inverted=inverted,
            batch=_even_batch(inverted, min(self.batch, largest)),
            evidence=evidence,
            evidence_batch=_even_batch(evidence, min(self.evidence_batch, largest)),
        )

    def described(self) -> tuple[tuple[str, str], ...]:
        """What a person should know of them, as (name, value)."""
        return (
            ("inverted", str(self.inverted)),
            ("steps", str(self.steps)),
            ("batch", str(self.batch)),
            ("learning rate", f"{self.learning_rate:g}"),
            ("evidence inputs", str(self.evidence)),
            ("class weight", f"{self.class_weight:g}"),
        )


def _even_batch(count: int, largest: int) -> int:
    """Size of the fewest batches of at most so many that hold so many inputs."""
    return -(-count // -(-count // largest))


QUICK = 3.0e8
"""What takes a few seconds on two cores, in the units of the budget."""

FEWEST_INVERTED = 8
FEWEST_EVIDENCE = 8
EVIDENCE_PART = 3
"""Inverted inputs for one evidence input, which costs as much."""

LARGEST_BATCH_ELEMENTS = 6.0e7
"""BatchNorm input elements of one batch; the gradient keeps a few times as many floats in memory."""

SETTINGS = {
    Effort.FAST: InversionSettings(
        samples=32, inverted=32, batch=32, steps=6, evidence=4, evidence_batch=4, budget=2.0e8, enough=32
    ),
    Effort.BALANCED: InversionSettings(samples=64, inverted=64, batch=64, steps=16, budget=2.0e9, enough=40),
    Effort.THOROUGH: InversionSettings(samples=512, inverted=512, batch=64, steps=60, budget=1.0e11, enough=512),
}
