"""What metrics share: settings from a spec file, and finding the output that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.metrics.base import Outputs
from zsq_export.plain import from_plain

T = TypeVar("T")


def read_settings(kind: type[T], raw: Mapping[str, Any]) -> T:
    """Settings from parsed JSON; what is left out keeps its default.

    Raises:
        ValueError: an unknown setting, or one of the wrong type; the message holds its path.
    """
    return from_plain(kind, raw, "spec", complete=False)


def pick_output(outputs: Outputs, name: str | None, metric: str) -> NDArray[np.float32]:
    """The output of that name, or the only (else the first) one.

    Raises:
        DataError: the model has none of that name.
    """
    if name is None:
        return next(iter(outputs.values()))
    if name not in outputs:
        raise DataError(f"the model has no output {name!r}, which {metric} asks for, only: {', '.join(outputs)}")
    return outputs[name]
