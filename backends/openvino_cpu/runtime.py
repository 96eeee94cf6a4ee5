"""OpenVINO itself: is it here, which version, how a model is compiled for the CPU."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from zsq_export.backends.base import FloatPrecision, Probe
from zsq_export.device.cpu import this_cpu
from zsq_export.device.openvino_cpu import DEVICE, compile_config
from zsq_export.errors import ArtifactError, TargetUnavailableError

if TYPE_CHECKING:
    import openvino

INSTALL_HINT = "pip install zsq-export[openvino]"


def import_openvino() -> ModuleType:
    """The ``openvino`` module.

    Raises:
        TargetUnavailableError: it is not installed, or broken.
    """
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise TargetUnavailableError(f"OpenVINO cannot be imported: {error}", hint=INSTALL_HINT) from error
    module: ModuleType = openvino
    return module


def probe_openvino() -> Probe:
    """What there is of OpenVINO here; never raises."""
    cpu = this_cpu()
    try:
        module = import_openvino()
        version = str(module.__version__).split("-")[0]
        devices = module.Core().available_devices
    except Exception as error:
        hint = INSTALL_HINT if isinstance(error, TargetUnavailableError) else f"OpenVINO fails: {error}"
        return Probe(available=False, runtime="", device=cpu.model, int8_hardware=cpu.int8_extension, hint=hint)
    return Probe(
        available=DEVICE in devices,
        runtime=f"openvino {version}",
        device=cpu.model,
        int8_hardware=cpu.int8_extension,
        hint="" if DEVICE in devices else "this OpenVINO was built without its CPU plugin",
    )


def read_ir(file: Path) -> openvino.Model:
    """Reads an IR file (.xml, its .bin beside it).

    Raises:
        ArtifactError: it is missing or no IR.
        TargetUnavailableError: OpenVINO is not installed.
    """
    module = import_openvino()
    try:
        return module.Core().read_model(file)
    except RuntimeError as error:
        raise ArtifactError(
            f"OpenVINO cannot read {file}: {last_line(error)}", hint="convert the model again"
        ) from error


def last_line(error: Exception) -> str:
    """The part of an OpenVINO message that says what is wrong; the lines before it are source positions."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def compile_model(model: openvino.Model, *, precision: FloatPrecision, threads: int | None) -> openvino.CompiledModel:
    """Compiles for one stream of requests at the lowest latency.

    Args:
        model: float or quantized.
        precision: of what runs in floating point.
        threads: None: all cores.

    Raises:
        TargetUnavailableError: the CPU plugin refuses the model.
    """
    try:
        return import_openvino().Core().compile_model(model, DEVICE, compile_config(precision.value, threads))
    except RuntimeError as error:
        raise TargetUnavailableError(
            f"OpenVINO cannot compile the model for this CPU: {last_line(error)}", hint="check `zsq-export doctor`"
        ) from error
