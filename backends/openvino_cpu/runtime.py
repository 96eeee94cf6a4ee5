"""OpenVINO itself: is it here, which version, how a file is read."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from zsq_export.backends.base import Probe
from zsq_export.device.cpu import this_cpu
from zsq_export.device.errors import one_line
from zsq_export.device.openvino_cpu import DEVICE
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
            f"OpenVINO cannot read {file}: {one_line(error, last=True)}", hint="convert the model again"
        ) from error
