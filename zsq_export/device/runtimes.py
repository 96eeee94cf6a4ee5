"""What a runtime has to do here, and which module does it for which target."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .batches import Arrays
from .errors import UNAVAILABLE, DeviceError

_MODULES = {
    "openvino": ".openvino_cpu",
    "onnxruntime": ".onnxruntime_cpu",
    "tflite": ".litert_cpu",
}
"""Target -> the module of its runtime."""
_ANOTHER_MACHINE = ("wrong ELF class", "invalid ELF header", "incompatible architecture", "Exec format error")
"""How dynamic loaders refuse a library of another architecture; glibc also says that a file that is there is not."""


@dataclass(frozen=True, kw_only=True)
class RanOp:
    """One op as the runtime really ran it: its own name for it, the kind, and the precision it computed in."""

    name: str
    op_type: str
    precision: str


class LoadedModel(Protocol):
    """A model on this device."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch; names and layouts are those of the ONNX model."""
        ...

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """Prepares everything for these inputs and returns a call that does one inference and nothing else."""
        ...

    def ran(self) -> tuple[RanOp, ...]:
        """What really ran, read from the runtime."""
        ...


class Runtime(Protocol):
    """The runtime of a target: a module with these functions."""

    def version(self) -> str:
        """Name and version; raises ImportError or OSError where it cannot be loaded."""
        ...

    def float_precisions(self) -> tuple[str, ...]:
        """Float precisions that this device runs natively; f32 first."""
        ...

    def open_model(self, file: Path, *, precision: str, threads: int | None) -> LoadedModel:
        """Loads a file; ``precision`` is of what runs in floating point."""
        ...


def find_runtime(target: str) -> Runtime:
    """The runtime of a target, found to be importable.

    Raises:
        DeviceError: it is missing or for another machine, or this runner does not know the target.
    """
    name = _MODULES.get(target)
    if name is None:
        raise DeviceError(f"this runner knows no target {target!r}, only: {', '.join(_MODULES)}")
    runtime = cast(Runtime, import_module(name, __package__))
    try:
        runtime.version()
    except Exception as error:
        raise DeviceError(_why(target, error), exit_code=UNAVAILABLE) from error
    return runtime


def supported_targets() -> Mapping[str, str]:
    """Targets that a bundle can be made for, with the module of each."""
    return _MODULES


def core_count() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _why(target: str, error: Exception) -> str:
    """One line: a package that is missing is another thing than one that was built for another machine."""
    import platform

    reason = " ".join(str(error).split())
    unreadable = "cannot open shared object" in reason and Path(reason.partition(":")[0]).is_file()
    if unreadable or any(words in reason for words in _ANOTHER_MACHINE):
        return f"the runtime of {target} was built for another machine than this {platform.machine()}: {reason}"
    return f"the runtime of {target} is missing or broken: {reason}"
