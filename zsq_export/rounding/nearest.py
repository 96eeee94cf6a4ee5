"""Rounding ``nearest``: what everybody does."""

from __future__ import annotations

from zsq_export.rounding.base import Rounded, RoundingRequest
from zsq_export.rounding.correction import with_corrected_biases


class NearestRounding:
    """Every weight takes the nearest integer, ties to even."""

    name = "nearest"
    summary = "each weight to its nearest integer"
    needs_inputs = False

    def obstacle(self, request: RoundingRequest) -> str | None:
        """Works everywhere."""
        return None

    def round(self, request: RoundingRequest) -> Rounded:
        """Corrects the biases; nothing else changes."""
        return with_corrected_biases(request, {})
