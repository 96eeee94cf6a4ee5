"""The calibrators there are; another distribution adds one by the entry point ``zsq_export.calibrators``."""

from __future__ import annotations

from typing import cast

from zsq_export.calib.base import Calibrator
from zsq_export.plugins import Registry

_CALIBRATORS = Registry(group="zsq_export.calibrators", kind="calibrator")


def calibrator_names() -> tuple[str, ...]:
    """Registered names, sorted; imports none of them."""
    return _CALIBRATORS.names()


def get_calibrator(name: str) -> Calibrator:
    """A new instance of the calibrator registered as ``name``.

    Raises:
        UsageError: no such calibrator; the hint has the nearest name.
        ZsqError: it is registered, but its module cannot be imported.
    """
    return cast(Calibrator, _CALIBRATORS.get(name))
