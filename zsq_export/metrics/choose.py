"""From what a person wrote behind ``--metric`` to metrics."""

from __future__ import annotations

import json
from pathlib import Path

from zsq_export.errors import UsageError
from zsq_export.metrics.base import Metric
from zsq_export.metrics.user import load_user_metric
from zsq_export.plugins import Registry

METRICS = Registry(group="zsq_export.metrics", kind="metric")


def metric_names() -> tuple[str, ...]:
    """Registered names, sorted."""
    return METRICS.names()


def choose_metric(text: str) -> Metric:
    """One metric.

    Args:
        text: ``NAME``, ``NAME=SPEC.json``, ``FILE.py:NAME`` or ``MODULE:NAME``.

    Raises:
        UsageError: no such metric, or a spec or a function that cannot be used.
    """
    name, separator, spec = text.partition("=")
    if not separator and ":" in text:
        return load_user_metric(text)
    metric: Metric = METRICS.get(name)
    return _configured(metric, Path(spec)) if separator else metric


def _configured(metric: Metric, spec: Path) -> Metric:
    try:
        raw = json.loads(spec.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the spec {spec} of metric {metric.name}: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{spec} is no spec of metric {metric.name}", hint="expected a JSON object")
    try:
        return metric.configured(raw)
    except ValueError as error:
        raise UsageError(f"{spec} is no spec of metric {metric.name}: {error}", hint="see docs/metrics.md") from error
