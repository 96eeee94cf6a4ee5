"""LiteRT itself: is it here, which version, how a file is loaded."""

from __future__ import annotations

from importlib import metadata
from types import ModuleType

from zsq_export.backends.base import Probe
from zsq_export.device.cpu import this_cpu
from zsq_export.errors import TargetUnavailableError

INSTALL_HINT = "pip install zsq-export[tflite]"
_PACKAGE = "ai-edge-litert"


def import_interpreter() -> ModuleType:
    """The module with LiteRT's interpreter.

    Raises:
        TargetUnavailableError: it is not installed, or broken.
    """
    try:
        from ai_edge_litert import interpreter
    except (ImportError, OSError) as error:
        raise TargetUnavailableError(f"LiteRT cannot be imported: {error}", hint=INSTALL_HINT) from error
    module: ModuleType = interpreter
    return module


def require_writer() -> None:
    """Writing needs the package's schema only.

    Raises:
        TargetUnavailableError: it is not installed.
    """
    try:
        import flatbuffers  # noqa: F401
        from ai_edge_litert import schema_py_generated  # noqa: F401
    except (ImportError, OSError) as error:
        raise TargetUnavailableError(f"LiteRT cannot be imported: {error}", hint=INSTALL_HINT) from error


def runtime_version() -> str:
    """Version of the installed package, "" if there is none."""
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return ""


def probe_litert() -> Probe:
    """What there is of LiteRT here; never raises."""
    cpu = this_cpu()
    try:
        import_interpreter()
        version = runtime_version()
    except Exception as error:
        hint = INSTALL_HINT if isinstance(error, TargetUnavailableError) else f"LiteRT fails: {error}"
        return Probe(available=False, runtime="", device=cpu.model, int8_hardware=cpu.int8_extension, hint=hint)
    return Probe(available=True, runtime=f"{_PACKAGE} {version}", device=cpu.model, int8_hardware=cpu.int8_extension)
