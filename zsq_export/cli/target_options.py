"""Options of targets: scheme and settings. Which of them a target has, its backend says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.errors import UsageError

if TYPE_CHECKING:
    from zsq_export.backends.options import NamedShape

Command = Callable[..., Any]

SCHEMES = ("int8", "16x8", "int4-weight", "fp8", "fp16")
PROFILES = ("cpu", "int8-only")
IO_TYPES = ("float", "int8")
IO_LAYOUTS = ("nhwc", "nchw")
FLOAT_PRECISIONS = ("f32", "bf16", "f16")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""

_SHAPE = "[NAME=]1x3x224x224"


def target_options(command: Command) -> Command:
    """Everything about the target's file, as ``options`` (a :class:`zsq_export.backends.options.TargetOptions`)."""

    @click.option("--scheme", type=click.Choice(SCHEMES), help="How numbers are stored. [default: by target]")
    @click.option("--profile", type=click.Choice(PROFILES), help="Kind of device, for targets that know several.")
    @click.option("--io", type=click.Choice(IO_TYPES), help="Element type of inputs and outputs.")
    @click.option("--io-layout", type=click.Choice(IO_LAYOUTS), help="Order of the axes of inputs and outputs.")
    @click.option("--float-precision", type=click.Choice(FLOAT_PRECISIONS), help="Of what stays in float.")
    @click.option("--min-shape", multiple=True, metavar=_SHAPE, help="Smallest shape of an input with open sides.")
    @click.option("--opt-shape", multiple=True, metavar=_SHAPE, help="Shape that it has most often.")
    @click.option("--max-shape", multiple=True, metavar=_SHAPE, help="Largest shape of it.")
    @click.option("--workspace", type=click.IntRange(min=1), metavar="MIB", help="Scratch memory on the device.")
    @click.option(
        "--timing-cache", type=click.Path(path_type=Path, dir_okay=False), help="Kernel timings to read and write."
    )
    @click.option("--version-compatible", is_flag=True, default=None, help="Engine for later runtimes, too.")
    @click.option("--hardware-compatible", is_flag=True, default=None, help="Engine for other devices, too.")
    @click.option("--compute-capability", multiple=True, metavar="N.M", help="Device to build for. Repeat for several.")
    @functools.wraps(command)
    def wrapped(
        *,
        scheme: str | None,
        profile: str | None,
        io: str | None,
        io_layout: str | None,
        float_precision: str | None,
        min_shape: tuple[str, ...],
        opt_shape: tuple[str, ...],
        max_shape: tuple[str, ...],
        workspace: int | None,
        timing_cache: Path | None,
        version_compatible: bool | None,
        hardware_compatible: bool | None,
        compute_capability: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        from zsq_export.backends.options import FloatPrecision, IoLayout, IoType, Profile, ShapeRanges, TargetOptions
        from zsq_export.planning.schemes import Scheme

        shapes = ShapeRanges(
            minimum=_shapes("--min-shape", min_shape),
            optimum=_shapes("--opt-shape", opt_shape),
            maximum=_shapes("--max-shape", max_shape),
        )
        options = TargetOptions(
            scheme=Scheme(scheme) if scheme else None,
            profile=Profile(profile) if profile else None,
            io=IoType(io) if io else None,
            layout=IoLayout(io_layout) if io_layout else None,
            float_precision=FloatPrecision(float_precision) if float_precision else None,
            shapes=None if shapes == ShapeRanges() else shapes,
            workspace_mib=workspace,
            timing_cache=timing_cache,
            version_compatible=version_compatible,
            hardware_compatible=hardware_compatible,
            compute_capabilities=compute_capability or None,
        )
        return command(options=options, **rest)

    return wrapped


def _shapes(option: str, texts: tuple[str, ...]) -> tuple[NamedShape, ...]:
    from zsq_export.backends.options import parse_shape

    try:
        return tuple(parse_shape(text) for text in texts)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint=f"e.g. {option} input=1x3x224x224") from None
