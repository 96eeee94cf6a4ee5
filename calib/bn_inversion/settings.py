"""How long and how strongly to optimise, by effort."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zsq_export.calib.base import Device, Effort


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
        largest_batch: BatchNorm input elements of one batch.
        largest_pass: of the batches that are optimised at once; they do not know of each other.
        at_once: how many batches that are, at most.
        spectral: pictures are moved along the spectrum of natural ones, not pixel by pixel.
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
    largest_batch: float = 6.0e7
    largest_pass: float = 6.0e7
    at_once: int = 1
    spectral: bool = False

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
        largest = max(1, int(self.largest_batch / elements))
        batch = _even_batch(inverted, min(self.batch, largest))
        evidence = min(self.evidence, max(FEWEST_EVIDENCE, inverted // EVIDENCE_PART))
        return replace(
            self,
            samples=samples,
            inverted=inverted,
            batch=batch,
            evidence=evidence,
            evidence_batch=_even_batch(evidence, min(self.evidence_batch, largest)),
            at_once=max(1, min(self.at_once, int(self.largest_pass / (batch * elements)))),
        )

    def described(self) -> tuple[tuple[str, str], ...]:
        """What a person should know of them, as (name, value)."""
        return (
            ("inverted", str(self.inverted)),
            ("steps", str(self.steps)),
            ("batch", str(self.batch)),
            ("learning rate", f"{self.learning_rate:g}"),
            ("optimised", "spectrum" if self.spectral else "pixels"),
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

SETTINGS = {
    Effort.FAST: InversionSettings(
        samples=32, inverted=32, batch=32, steps=6, evidence=4, evidence_batch=4, budget=2.0e8, enough=32
    ),
    Effort.BALANCED: InversionSettings(samples=64, inverted=64, batch=64, steps=16, budget=2.0e9, enough=40),
    Effort.THOROUGH: InversionSettings(samples=512, inverted=512, batch=64, steps=60, budget=1.0e11, enough=512),
}


GPU_ELEMENTS = 5.0e8
"""Of one batch, and of all that are optimised at once, on a GPU: about 12 GB."""

GPU_BATCHES = 8


def settings_for(effort: Effort, device: Device) -> InversionSettings:
    """Those of the effort. A GPU does more at once; where time does not count, it also has larger batches, more steps.

    Inputs that meet the statistics in a large batch may differ from one another as real ones do (docs/decisions/0005).
    """
    settings = SETTINGS[effort]
    if device is Device.CPU:
        return settings
    settings = replace(settings, at_once=GPU_BATCHES, largest_pass=GPU_ELEMENTS)
    if effort is not Effort.THOROUGH:
        return settings
    return replace(settings, batch=128, steps=400, largest_batch=GPU_ELEMENTS, budget=2.0e12, spectral=True)
