"""Quantize a trained float ONNX model without data and prove it on the device.

    import zsq_export
    zsq_export.convert("model.onnx", targets=["openvino"], output="out")
    report = zsq_export.validate("out")

The functions are imported when they are first used, so that ``import zsq_export`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zsq_export.api import calibrate, convert, list_targets, make_bundle, plan, validate
    from zsq_export.artifact import Artifact, read_artifact
    from zsq_export.backends.options import TargetOptions
    from zsq_export.calib.base import CalibrationResult
    from zsq_export.errors import ZsqError
    from zsq_export.listing import Target
    from zsq_export.options import CalibrationOptions
    from zsq_export.planning.options import PlanOptions
    from zsq_export.planning.plan import Plan
    from zsq_export.planning.schemes import Scheme
    from zsq_export.preprocessing import Preprocessing
    from zsq_export.validation.gates import Gates
    from zsq_export.validation.report_types import ValidationReport

__all__ = [
    "Artifact",
    "CalibrationOptions",
    "CalibrationResult",
    "Gates",
    "Plan",
    "PlanOptions",
    "Preprocessing",
    "Scheme",
    "Target",
    "TargetOptions",
    "ValidationReport",
    "ZsqError",
    "calibrate",
    "convert",
    "list_targets",
    "make_bundle",
    "plan",
    "read_artifact",
    "validate",
]

_HOMES = {
    "Artifact": "artifact",
    "CalibrationOptions": "options",
    "CalibrationResult": "calib.base",
    "Gates": "validation.gates",
    "Plan": "planning.plan",
    "PlanOptions": "planning.options",
    "Preprocessing": "preprocessing",
    "Scheme": "planning.schemes",
    "Target": "listing",
    "TargetOptions": "backends.options",
    "ValidationReport": "validation.report_types",
    "ZsqError": "errors",
    "calibrate": "api",
    "convert": "api",
    "list_targets": "api",
    "make_bundle": "api",
    "plan": "api",
    "read_artifact": "artifact",
    "validate": "api",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})
