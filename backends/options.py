"""What a user can choose of a target. One class for all targets; each refuses what it does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from zsq_export.errors import PlanError, UsageError
from zsq_export.planning.schemes import Scheme
from zsq_export.suggestions import did_you_mean


class Profile(StrEnum):
    """What kind of device a target's file is for: one that also computes in float, or one that has integers only."""

    CPU = "cpu"
    INT8_ONLY = "int8-only"


class IoType(StrEnum):
    """Element type of the lowered file's inputs and outputs."""

    FLOAT = "float"
    INT8 = "int8"


class FloatPrecision(StrEnum):
    """A floating-point precision that a device can run a model in."""

    F32 = "f32"
    BF16 = "bf16"
    F16 = "f16"


class IoLayout(StrEnum):
    """Order of the axes of the lowered file's picture inputs and outputs."""

    NHWC = "nhwc"
    NCHW = "nchw"


NamedShape = tuple[str, tuple[int, ...]]
"""Name of a graph input ("": the only one) and its sides."""


@dataclass(frozen=True, kw_only=True)
class ShapeRanges:
    """Shapes that inputs with open sides may take; what is not given, the target chooses.

    Attributes:
        minimum, optimum, maximum: smallest, usual and largest shape per input.
    """

    minimum: tuple[NamedShape, ...] = ()
    optimum: tuple[NamedShape, ...] = ()
    maximum: tuple[NamedShape, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """Choices of a target; None: its default.

    Attributes:
        scheme: how weights and activations are stored.
        profile: kind of device.
        io: element type of inputs and outputs.
        layout: order of the axes of inputs and outputs.
        float_precision: of what the plan leaves in float, where the device has it.
        shapes: of inputs with open sides.
        workspace_mib: scratch memory that an engine may use on the device, in MiB.
        timing_cache: file with kernel timings of earlier builds, read and written.
        version_compatible: the engine also runs in later versions of the runtime.
        hardware_compatible: the engine also runs on other devices than the one it was built for.
        compute_capabilities: devices that the engine is built for, as "8.9".
    """

    scheme: Scheme | None = None
    profile: Profile | None = None
    io: IoType | None = None
    layout: IoLayout | None = None
    float_precision: FloatPrecision | None = None
    shapes: ShapeRanges | None = None
    workspace_mib: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool | None = None
    hardware_compatible: bool | None = None
    compute_capabilities: tuple[str, ...] | None = None

    def given(self) -> tuple[str, ...]:
        """Names of the attributes that are not None."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    def over(self, defaults: TargetOptions) -> TargetOptions:
        """These options, with the defaults for what is not given."""
        return replace(defaults, **{name: getattr(self, name) for name in self.given()})

    def settings(self) -> tuple[tuple[str, str], ...]:
        """What is given as (name, text) pairs, for a plan or a manifest.

        The scheme has a place of its own there, and the timing cache changes no result.
        """
        return tuple((name, _CODECS[name].write(getattr(self, name))) for name in self.given() if name in _CODECS)

    @classmethod
    def from_settings(cls, settings: tuple[tuple[str, str], ...]) -> TargetOptions:
        """Reads what :meth:`settings` wrote.

        Raises:
            PlanError: an unknown name, or a text that cannot be read.
        """
        found: dict[str, Any] = {}
        for name, text in settings:
            if name not in _CODECS:
                raise PlanError(f"the plan has an unknown setting {name!r}", hint=did_you_mean(name, _CODECS))
            try:
                found[name] = _CODECS[name].read(text)
            except ValueError as error:
                raise PlanError(f"the plan's setting {name} = {text!r} cannot be read: {error}") from error
        return cls(**found)


def configure(
    options: TargetOptions,
    defaults: TargetOptions,
    *,
    target: str,
    schemes: Collection[Scheme],
    without_default: Collection[str] = (),
) -> TargetOptions:
    """The options as a target uses them: defaults filled in, and nothing that the target does not have.

    Args:
        options: the user's.
        defaults: of the options that the target has.
        target: for messages.
        schemes: that the target has.
        without_default: names of the attributes that the target has, too, and that may stay None.

    Raises:
        UsageError: an option or a scheme that the target does not have; names each.
    """
    known = (*defaults.given(), *without_default)
    foreign = [option_name(name) for name in options.given() if name not in known]
    if foreign:
        raise UsageError(
            f"the target {target} has no option {', '.join(foreign)}",
            hint=f"it has {', '.join(option_name(name) for name in known)}",
        )
    if options.scheme is not None and options.scheme not in schemes:
        names = ", ".join(scheme.value for scheme in schemes)
        raise UsageError(f"the target {target} has no scheme {options.scheme.value}", hint=f"it has {names}")
    return options.over(defaults)


def option_name(attribute: str) -> str:
    """How the command line spells an attribute of :class:`TargetOptions`."""
    return _SPELLINGS.get(attribute, f"--{attribute.replace('_', '-')}")


def parse_shape(text: str) -> NamedShape:
    """``NAME=1x3x224x224``, or ``1x3x224x224`` for a model with one input.

    Raises:
        ValueError: it is not written so, or a side is 0.
    """
    name, _, sides = text.rpartition("=")
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sides):
        raise ValueError(f"{text!r} is no shape, write NAME=1x3x224x224")
    return name, tuple(int(side) for side in sides.split("x"))


def shape_text(shape: NamedShape) -> str:
    """What :func:`parse_shape` reads."""
    sides = "x".join(map(str, shape[1]))
    return f"{shape[0]}={sides}" if shape[0] else sides


_SPELLINGS = {
    "layout": "--io-layout",
    "shapes": "--min-shape, --opt-shape, --max-shape",
    "workspace_mib": "--workspace",
    "compute_capabilities": "--compute-capability",
}


@dataclass(frozen=True, kw_only=True)
class _Codec:
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _of_enum(kind: type[StrEnum]) -> _Codec:
    return _Codec(write=str, read=kind)


def _write_shapes(shapes: ShapeRanges) -> str:
    return json.dumps([shapes.minimum, shapes.optimum, shapes.maximum], ensure_ascii=False)


def _read_shapes(text: str) -> ShapeRanges:
    try:
        parts = [tuple((str(name), tuple(map(int, sides))) for name, sides in part) for part in json.loads(text)]
        minimum, optimum, maximum = parts
    except (TypeError, ValueError) as error:
        raise ValueError("expected three lists of [name, sides]") from error
    return ShapeRanges(minimum=minimum, optimum=optimum, maximum=maximum)


def _read_flag(text: str) -> bool:
    if text not in _FLAGS:
        raise ValueError("expected yes or no")
    return _FLAGS[text]


_FLAGS = {"yes": True, "no": False}
_FLAG = _Codec(write=lambda value: "yes" if value else "no", read=_read_flag)
_CODECS: dict[str, _Codec] = {
    "profile": _of_enum(Profile),
    "io": _of_enum(IoType),
    "layout": _of_enum(IoLayout),
    "float_precision": _of_enum(FloatPrecision),
    "shapes": _Codec(write=_write_shapes, read=_read_shapes),
    "workspace_mib": _Codec(write=str, read=int),
    "version_compatible": _FLAG,
    "hardware_compatible": _FLAG,
    "compute_capabilities": _Codec(write=",".join, read=lambda text: tuple(filter(None, text.split(",")))),
}
