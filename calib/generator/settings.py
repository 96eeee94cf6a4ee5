"""How large the generator is and how long it is trained, by effort."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zsq_export.calib.base import Effort


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """Hyper-parameters.

    Attributes:
        samples: inputs made.
        batch: made together by one fresh generator; their joint statistics are matched.
        steps: of Adam per batch.
        width: channels of the generator's first half; the second half has half as many.
        latent: length of the learnable latent of each sample.
        latent_rate, generator_rate: peak steps of the latents and of the network (Genie-D: 0.1 and 0.01).
        class_weight: of the cross-entropy to each sample's class, against 1 for the BatchNorm term.
        swing: pixels that a strided convolution's input is shifted by at random; 0: not at all.
        budget: upper limit of samples * steps * (BatchNorm input elements of one sample).
    """

    samples: int
    batch: int
    steps: int
    width: int = 64
    latent: int = 256
    latent_rate: float = 0.1
    generator_rate: float = 0.01
    class_weight: float = 0.1
    swing: int = 1
    budget: float = 4.0e9

    def fitted(self, elements: int) -> GeneratorSettings:
        """The same within the budget, which depends on the model alone: a seed gives the same inputs anywhere."""
        affordable = max(FEWEST_STEPS, int(self.budget / max(1, self.samples * elements)))
        return replace(self, steps=min(self.steps, affordable), batch=min(self.batch, self.samples))

    def described(self) -> tuple[tuple[str, str], ...]:
        """What a person should know of them."""
        return (
            ("steps", str(self.steps)),
            ("batch", str(self.batch)),
            ("width", str(self.width)),
            ("class weight", f"{self.class_weight:g}"),
            ("swing", str(self.swing)),
        )


FEWEST_STEPS = 10

SETTINGS = {
    Effort.FAST: GeneratorSettings(samples=32, batch=32, steps=40, width=32, budget=1.0e9),
    Effort.BALANCED: GeneratorSettings(samples=64, batch=64, steps=100),
    Effort.THOROUGH: GeneratorSettings(samples=1024, batch=128, steps=1000, width=128, budget=1.0e12),
}
