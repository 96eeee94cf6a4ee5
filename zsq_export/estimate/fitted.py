"""The coefficients of the predictor. Written by ``tools/bench/estimate_benchmark.py --write``; not edited by hand."""

from __future__ import annotations

from zsq_export.estimate.model import Fit

CLASSES = Fit(weights=(0.0, -0.5, -0.5, 0.6), half_widths=(0.5, 1.0), coverage=0.9, cells=0, models=0)
VALUES = Fit(weights=(0.0, 1.0), half_widths=(0.5, 1.0), coverage=0.9, cells=0, models=0)
