"""What targets have in common that offer nothing to choose."""

from __future__ import annotations

from typing import Self

from zsq_export.backends.options import FloatPrecision, TargetOptions, configure
from zsq_export.planning.schemes import Scheme


class Int8Only:
    """Base of a backend whose only scheme is int8 and that has no settings."""

    name: str
    schemes: tuple[Scheme, ...] = (Scheme.INT8,)
    options = TargetOptions(scheme=Scheme.INT8)
    notes: tuple[str, ...] = ()

    def configured(self, options: TargetOptions) -> Self:
        """Itself.

        Raises:
            UsageError: any other option than the scheme int8 was given.
        """
        configure(options, self.options, target=self.name, schemes=self.schemes)
        return self

    def rest_precisions(self) -> tuple[FloatPrecision, ...]:
        """Nothing to choose."""
        return ()
