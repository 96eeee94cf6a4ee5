"""A user's own metric: a Python function or class, from a file or an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError, UsageError
from zsq_export.metrics.base import DataForm, Meter, MetricBatch, MetricValue, Outputs

_HINT = "give FILE.py:NAME or MODULE:NAME of a function (outputs, targets, inputs) -> one number per sample"


@dataclass(frozen=True, kw_only=True)
class UserMetric:
    """What stands behind ``--metric FILE.py:NAME``; attributes of the object may set unit and direction."""

    name: str
    summary: str
    unit: str
    higher_is_better: bool
    forms: frozenset[DataForm]
    new_meter: Callable[[], Meter] = field(repr=False)

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """A user's metric has no spec."""
        raise ValueError("a metric of your own takes no spec; read one in your code")

    def meter(self) -> Meter:
        """A new meter for one model."""
        return self.new_meter()


def load_user_metric(text: str) -> UserMetric:
    """Imports the user's function or class.

    A function is called once per batch as ``function(outputs, targets, inputs)`` and returns one number per sample;
    the metric is their mean. A class is made anew for each model; ``add(outputs, targets, inputs)`` is called once per
    batch and ``result()`` returns the number in the end. ``outputs`` and ``inputs`` are dicts of float32 arrays
    [samples, ...] by the names in the ONNX file, ``targets`` is what the data knows of each sample (None: nothing).
    The attributes ``unit`` ("") and ``higher_is_better`` (True) of the object are read.

    Args:
        text: ``FILE.py:NAME`` or ``MODULE:NAME``.

    Raises:
        UsageError: there is no such file, module or name, or it is not callable.
    """
    place, _, name = text.rpartition(":")
    target = getattr(_import(place, text), name, None)
    if not callable(target):
        raise UsageError(f"{place} has no function or class {name!r}", hint=_HINT)
    is_class = isinstance(target, type)
    return UserMetric(
        name=name if place.endswith(".py") else text,
        summary=f"{name} of {place}",
        unit=str(getattr(target, "unit", "")),
        higher_is_better=bool(getattr(target, "higher_is_better", True)),
        forms=frozenset(),
        new_meter=(lambda: _ClassMeter(target(), text)) if is_class else (lambda: _FunctionMeter(target, text)),
    )


def _import(place: str, text: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(f"zsq_user_metric_{Path(place).stem}", place)
        if spec is None or spec.loader is None or not Path(place).is_file():
            raise UsageError(f"there is no metric file {place}", hint=_HINT)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"cannot import the metric {text}: {type(error).__name__}: {error}", hint=_HINT) from error


class _FunctionMeter:
    def __init__(self, function: Callable[..., Any], text: str) -> None:
        self._function = function
        self._text = text
        self._values: list[NDArray[np.float64]] = []

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        found = _called(self._text, self._function, dict(outputs), batch.targets, dict(batch.inputs))
        samples = len(next(iter(batch.inputs.values())))
        try:
            values = np.asarray(found, np.float64).reshape(-1)
        except (TypeError, ValueError) as error:
            raise DataError(f"{self._text} returned {type(found).__name__}, expected numbers") from error
        if len(values) != samples:
            raise DataError(
                f"{self._text} returned {len(values)} numbers for {samples} samples",
                hint="return one number per sample, or give a class with add() and result()",
            )
        self._values.append(values)

    def result(self) -> MetricValue:
        values = np.concatenate(self._values)
        return MetricValue(value=float(values.mean()), per_sample=values)


class _ClassMeter:
    def __init__(self, instance: Any, text: str) -> None:
        if not (callable(getattr(instance, "add", None)) and callable(getattr(instance, "result", None))):
            raise UsageError(f"{text} has no methods add and result", hint=_HINT)
        self._instance = instance
        self._text = text

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        _called(self._text, self._instance.add, dict(outputs), batch.targets, dict(batch.inputs))

    def result(self) -> MetricValue:
        found = _called(self._text, self._instance.result)
        try:
            return MetricValue(value=float(found))
        except (TypeError, ValueError) as error:
            raise DataError(f"{self._text}.result() returned {type(found).__name__}, expected a number") from error


def _called(text: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise DataError(
            f"the metric {text} failed: {type(error).__name__}: {error}",
            hint="it is your own code; --debug shows where",
        ) from error
