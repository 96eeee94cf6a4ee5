"""The contracts of a backend and of its runner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.backends.options import FloatPrecision, TargetOptions
from zsq_export.planning.plan import Plan
from zsq_export.planning.schemes import Scheme
from zsq_export.planning.table import PlacementTable

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What there is of a target on this machine.

    Attributes:
        available: the runtime can be imported and the device answers.
        runtime: "openvino 2026.4.1", or "" where missing.
        device: model of the CPU or GPU.
        int8_hardware: the vector or matrix int8 extension found ("avx512_vnni", ...), "" if none or unknown.
        hint: what to do where it is not available.
        lowers: files can be made here; False where already that takes the device.
    """

    available: bool
    runtime: str
    device: str
    int8_hardware: str = ""
    hint: str = ""
    lowers: bool = True


@dataclass(frozen=True, kw_only=True)
class ExecutedOp:
    """One op as the runtime really ran it.

    Attributes:
        name: of the runtime's own op.
        op_type: of the runtime's own op.
        precision: "i8", "u8", "f32", "bf16", ... as the runtime reports it.
        macs: multiply-accumulates of one sample (0 for ops without).
    """

    name: str
    op_type: str
    precision: str
    macs: int


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A place in a QDQ model that breaks a rule of a target.

    Attributes:
        rule: short name of the rule.
        node: name of the node, as in the file.
        op_type: of the node.
        message: what is wrong there, and what would be right.
    """

    rule: str
    node: str
    op_type: str
    message: str


@runtime_checkable
class RuleChecker(Protocol):
    """A backend that can judge a QDQ model that somebody else made."""

    def check_rules(self, model: ir.Model) -> tuple[Violation, ...]:
        """Every violation of the target's rules, in graph order."""
        ...


@runtime_checkable
class Portable(Protocol):
    """A backend whose artifacts run on other devices by :mod:`zsq_export.device`."""

    def save_float(self, model: ir.Model, out_dir: Path) -> tuple[str, ...]:
        """Writes the float model in the target's own format and returns the files' names, the one to open first.

        Raises:
            TargetUnavailableError: the runtime that is needed to write it is missing.
            UnsupportedOpError: the target's format has no such op.
        """
        ...


class Runner(Protocol):
    """A loaded model on its device."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch; names are those of the ONNX model."""
        ...

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """Prepares everything for these inputs and returns a call that does one inference and nothing else."""
        ...

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """What really ran, read from the runtime."""
        ...


class Backend(Protocol):
    """A target. Registered by entry point ``zsq_export.backends``; heavy imports happen inside the methods."""

    name: str
    summary: str
    extra: str
    """pip extra that installs the runtime ("" if it is a core dependency)."""
    schemes: tuple[Scheme, ...]
    """That the target has, the default first."""

    @property
    def options(self) -> TargetOptions:
        """As configured, with the target's defaults for what was not given."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about these options before relying on the result."""
        ...

    def configured(self, options: TargetOptions) -> Self:
        """The same target with these options; everything below goes by them.

        Raises:
            UsageError: an option that this target does not have, or a value that it does not take.
        """
        ...

    def placement(self) -> PlacementTable:
        """Which tensors to quantize, and how; its ``scheme`` is the configured one."""
        ...

    def probe(self) -> Probe:
        """Whether the runtime is here; never raises."""
        ...

    def lower(self, qdq: ir.Model, plan: Plan, out_dir: Path) -> tuple[str, ...]:
        """Writes the target's file(s) into ``out_dir`` and returns their names, the one to open first.

        Raises:
            TargetUnavailableError: the runtime that is needed to lower is missing.
            KernelMissingError: a node has no kernel as it is quantized; the pipeline gives it back to float, one at a
                time, and tries again.
        """
        ...

    def open(self, file: Path, *, threads: int | None) -> Runner:
        """Loads a lowered file on this machine.

        Raises:
            TargetUnavailableError: no runtime, or the device refuses.
        """
        ...

    def rest_precisions(self) -> tuple[FloatPrecision, ...]:
        """Precisions of this device that can be chosen for what a plan leaves in float; () where there is no choice."""
        ...

    def float_precisions(self) -> tuple[FloatPrecision, ...]:
        """Float precisions that this device runs natively; f32 first."""
        ...

    def open_float(self, model: ir.Model, precision: FloatPrecision, *, threads: int | None) -> Runner:
        """Loads the float model in the same runtime: the honest baseline."""
        ...
