"""What an inverted input has to achieve beside the BatchNorm statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One step of an inversion.

    Attributes:
        sought: pictures in 0..1, or the inputs themselves.
        taps: tensor name -> tensor [samples, ...].
        scores: [samples, classes]; None where no term needs classes.
        classes: int64 [samples], one wanted class each; None likewise.
    """

    sought: Tensor
    taps: Mapping[str, Tensor]
    scores: Tensor | None = None
    classes: Tensor | None = None


class Term(Protocol):
    """One more addend of the loss."""

    @property
    def name(self) -> str:
        """In the provenance."""
        ...

    @property
    def weight(self) -> float:
        """Against 1 for the BatchNorm term."""
        ...

    def __call__(self, seen: Seen) -> Tensor:
        """0-d, without the weight."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassEvidence:
    """Cross-entropy to each sample's class."""

    weight: float
    name: str = "class"

    def __call__(self, seen: Seen) -> Tensor:
        """0-d, nats."""
        assert seen.scores is not None and seen.classes is not None
        return functional.cross_entropy(seen.scores, seen.classes)
